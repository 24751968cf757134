"""Arguments of a call by the names that the table of TensorFlow's functions has for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.computations import plan
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.operators import kind_of
from kerasguard.blueprint.lambdas.values import Tensor, told

__all__ = ["bound", "planned", "short_name", "table_name"]

_FIRST = ("x", "input", "input_tensor", "tensor", "value", "values", "tensors", "t", "a", "images",
          "image", "logits", "features", "inputs", "condition")  # fmt: skip


def short_name(function: str) -> str:
    """The name as people write it."""
    for module, usual in (("tensorflow", "tf"), ("keras.backend", "K"), ("numpy", "np")):
        if function.startswith(f"{module}."):
            return usual + function[len(module) :]
    return function


def table_name(function: str) -> str:
    """The name in the table: TensorFlow's without the package."""
    return function.removeprefix("tensorflow.")


def bound(
    short: str,
    signature: tuple[tuple[str, str], ...],
    arguments: tuple[Any, ...],
    named: Mapping[str, Any],
) -> dict[str, Any]:
    """The arguments by the names that the table has for them, the first one first."""
    if len(arguments) > len(signature):
        raise Unsupported(f"{short} with {len(arguments)} arguments")
    given = {known: x for (_, known), x in zip(signature, arguments, strict=False)}
    names = dict(signature)
    for name, value in named.items():
        known = names.get(name, name)
        if known in given:
            raise Unsupported(f"{short} with {name} twice")
        given[known] = value
    first = signature[0][1]
    if first not in given:
        # TensorFlow 1 called some of them otherwise.
        other = next((n for n in _FIRST if n in given), None)
        if other is None:
            raise Unsupported(f"{short} without {first}")
        given[first] = given.pop(other)
    return {first: given.pop(first), **given}


def planned(drawing: Drawing, name: str, given: dict[str, Any], kind: str | None = None) -> Tensor:
    """A call by the table of TensorFlow's functions."""
    first, *rest = given
    kind = kind_of(*given.values()) if kind is None else kind
    others = {key: told(given[key]) for key in rest}
    return drawing.draw(plan(name, told(given[first]), others, drawing.rank_of), kind)
