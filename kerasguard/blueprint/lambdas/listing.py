"""Every Lambda of a stored architecture, and what can be read of its functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kerasguard.blueprint.objects import class_of, config_of, name_of, objects
from kerasguard.bytecode.expressions import NotUnderstoodError
from kerasguard.bytecode.functions import Budget, is_code, read

__all__ = ["lambda_sources"]

_PARTS = {"function": "", "output_shape": " output_shape", "mask": " mask"}


def lambda_sources(architecture: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The name of each Lambda, and its function in Python or why it was not read.

    Functions for its mask and its output's shape follow under the same name.
    """
    budget = Budget()
    for _, item in objects(architecture, "layer"):
        if class_of(item) != "Lambda":
            continue
        for key, title in _PARTS.items():
            value = config_of(item).get(key)
            if is_code(value):
                yield name_of(item) + title, _source(value, budget)
            elif key == "function":
                yield name_of(item), f"{_name(value)!r}, a name without code"


def _source(value: Any, budget: Budget) -> str:
    try:
        return read(value, budget).source
    except NotUnderstoodError as reason:
        return f"not read: {reason}"


def _name(value: Any) -> Any:
    return value.get("config") if isinstance(value, dict) else value
