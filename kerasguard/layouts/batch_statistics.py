"""Normalisations by the batch's own statistics, in files that keep every layer under its own key.

Such a BatchNormalization is a GroupNormalization today, which has no moving statistics; those that
the file holds were never used, so they are not looked at.
"""

from __future__ import annotations

from dataclasses import replace

from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["without_statistics"]

_UNUSED = ("moving_mean", "moving_variance")


def without_statistics(stored: Table, expected: Table) -> Table:
    """The stored table with today's class for each such layer, and without what it never used.

    Args:
        stored: the file's table.
        expected: of the model that was built from the file's own architecture.
    """
    ours = _by_name(expected)
    layers = {
        key: replace(layer, class_name="GroupNormalization")
        for key, layer in stored.layers.items()
        if layer.class_name == "BatchNormalization"
        and (twin := ours.get(layer.name)) is not None
        and twin.class_name == "GroupNormalization"
    }
    if not layers:
        return stored
    weights: dict[str, list[TensorRecord]] = {key: [] for key in layers}
    for record in stored.tensors.values():
        if record.layer in weights and record.role == "weight":
            weights[record.layer].append(record)
    unused: set[str] = set()
    for owned in weights.values():
        named = {r.key for r in owned if r.variable in _UNUSED}
        unused |= named or {r.key for r in owned[-2:] if not r.variable}
    tensors = {key: record for key, record in stored.tensors.items() if key not in unused}
    return replace(stored, tensors=tensors, layers={**stored.layers, **layers})


def _by_name(table: Table) -> dict[str, LayerRecord]:
    """The layers whose name no other has."""
    found: dict[str, LayerRecord | None] = {}
    for layer in table.layers.values():
        found[layer.name] = None if layer.name in found else layer
    return {name: layer for name, layer in found.items() if layer is not None}
