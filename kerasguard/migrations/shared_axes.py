"""KG448: which axes share a slope stands among the weights alone.

What it looks like: a PReLU without `shared_axes`, and a tensor of slopes of shape (1, 1, 3). Keras
3 expects a slope for every place: `Weight expects shape (7, 6, 3)`.

Why it happens: Keras 1.2 had the option, and left it out of the config.

Source: Keras 1.2 `layers/advanced_activations.py`, `PReLU.get_config`.

When it is exact: always; an axis of one slope is shared, or has one place only, which is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasguard.blueprint.objects import class_of, config_of, is_object, name_of, replace_all
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import Table

__all__ = ["with_shared_axes"]

CODES = {"KG448": "which axes share a slope stands among the weights alone"}


def with_shared_axes(
    architecture: Mapping[str, Any], stored: Table
) -> tuple[Mapping[str, Any], tuple[Finding, ...]]:
    """The architecture with `shared_axes` where the slopes tell them.

    Args:
        architecture: as the file has it; stays as it is, and is returned where nothing is shared.
        stored: the file's table.

    Returns:
        The architecture, and a finding for each layer that shares slopes.
    """
    shared = _shared(stored)
    findings: list[Finding] = []
    if not shared:
        return architecture, ()

    def change(part: Any) -> Any:
        if not is_object(part) or class_of(part) != "PReLU" or "shared_axes" in config_of(part):
            return part
        name = name_of(part)
        if name not in shared:
            return part
        message = f"{name}: shares its slopes along the axes {shared[name]}, as they tell"
        findings.append(Finding("KG448", name, message, Severity.INFO))
        return {**part, "config": {**config_of(part), "shared_axes": shared[name]}}

    return replace_all(dict(architecture), change), tuple(findings)


def _shared(stored: Table) -> dict[str, list[int]]:
    """By layer, the axes along which its only tensor, named as Keras 1 named slopes, has one."""
    found: dict[str, list[int]] = {}
    for record in stored.tensors.values():
        name, _, variable = record.name.rpartition("/")[2].removesuffix(":0").rpartition("_")
        if variable not in ("alpha", "alphas"):
            continue
        if axes := [axis for axis, size in enumerate(record.spec.shape, 1) if size == 1]:
            found[name] = axes
    return found
