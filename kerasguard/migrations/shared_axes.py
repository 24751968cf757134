"""KG448: PReLU's shared_axes are known only from its weights.

What it looks like: a PReLU without `shared_axes`, and a tensor of slopes of shape (1, 1, 3). Keras
3 expects a slope for every place: `Weight expects shape (7, 6, 3)`.

Why it happens: Keras 1.2 had the option, and left it out of the config.

Source: Keras 1.2 `layers/advanced_activations.py`, `PReLU.get_config`.

When it is exact: always; an axis with one slope is shared or has size 1, which is the same.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import config_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.tensors import Table

CODES = {"KG448": "PReLU's shared_axes are known only from its weights"}


def rewrite(blueprint: Blueprint) -> None:
    """Write `shared_axes` where the slopes tell them."""
    shared = _shared(blueprint.stored)
    for item in blueprint.layers("PReLU") if shared else ():
        config, name = config_of(item), name_of(item)
        if "shared_axes" not in config and name in shared:
            config["shared_axes"] = shared[name]
            axes = shared[name]
            blueprint.note(item, f"shares its slopes along the axes {axes}, taken from their shape")


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


MIGRATION = Migration("KG448", "Keras 1", lambda _: True, rewrite)
