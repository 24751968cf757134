"""KG446: a Discretization's adapted boundaries are stored as weights, as a summary of the data.

What it looks like: a Discretization with `num_bins` and no `bin_boundaries`, and a tensor `summary`
of shape (2, n) beside it. Keras 3 loads the layer without boundaries, and it cannot be called.

Why it happens: Keras 2 stored what `adapt` had seen and derived the boundaries when it was loaded.
Keras 3 writes the boundaries into the config.

Source: tf.keras 2.15 `layers/preprocessing/discretization.py`, `get_bin_boundaries`; Keras 3
`layers/preprocessing/discretization.py`, `get_config`.

When it is exact: always; the boundaries are computed from the summary as Keras 2 computed them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasguard.blueprint.objects import class_of, config_of, name_of, objects, replace_all
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["boundaries", "summaries"]

CODES = {"KG446": "a Discretization's adapted boundaries are stored as weights"}


def summaries(architecture: Mapping[str, Any], stored: Table) -> dict[str, str]:
    """By name of a layer without boundaries, the key of the only summary that is stored for it."""
    waiting = {
        name_of(item)
        for _, item in objects(dict(architecture))
        if class_of(item) == "Discretization"
        and config_of(item).get("num_bins")
        and not config_of(item).get("bin_boundaries")
    }
    found: dict[str, list[str]] = {}
    for key, record in stored.tensors.items():
        layer = stored.layers.get(record.layer)
        name = layer.name if layer is not None and layer.name else record.layer
        shape = record.spec.shape
        if name in waiting and len(shape) == 2 and shape[0] == 2 and shape[1] > 1:
            found.setdefault(name, []).append(key)
    return {name: keys[0] for name, keys in found.items() if len(keys) == 1}


def boundaries(summary: Array, bins: int) -> list[float]:
    """The boundaries between bins that hold equal shares of what was summarised.

    Args:
        summary: values in order, and how many each stands for; shape (2, n).
        bins: how many.
    """
    share = 1.0 / bins
    values = summary[0]
    if summary.shape[1] * share >= 1:
        counts = summary[1].cumsum()
        values = np.interp(share + np.arange(0.0, 1.0, share), counts / counts[-1], values)
    return [float(value) for value in np.asarray(values, "float32")[:-1]]


def rewrite(blueprint: Blueprint) -> None:
    """Write boundaries from stored summaries; a summary that served is not a tensor any more."""
    keys = summaries(blueprint.architecture, blueprint.stored)
    found = {name: blueprint.values[key] for name, key in keys.items()}

    def change(part: Any) -> Any:
        if not isinstance(part, dict) or part.get("class_name") != "Discretization":
            return part
        config, name = config_of(part), name_of(part)
        if name not in found or config.get("bin_boundaries"):
            return part
        edges = boundaries(found[name], config["num_bins"])
        if edges != sorted(edges):  # no summary that Keras made
            return part
        blueprint.note(part, f"{len(edges)} boundaries from the stored summary of what adapt saw")
        blueprint.taken.add(keys[name])
        return {**part, "config": {**config, "bin_boundaries": edges, "num_bins": None}}

    if found:
        blueprint.architecture = replace_all(blueprint.architecture, change)


MIGRATION = Migration("KG446", "any", lambda _: True, rewrite, words=("Discretization",))
