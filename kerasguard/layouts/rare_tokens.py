"""Weights of rare tokens: a legacy file lists them with a layer, Keras 3 keeps them beside it."""

from __future__ import annotations

from collections.abc import Container, Iterator

from kerasguard.planning.operations import Step
from kerasguard.tensors import Table, TensorRecord

__all__ = ["rare_tokens"]

_WEIGHTS = "idf_weights"


def rare_tokens(stored: Table, expected: Table, used: Container[str]) -> Iterator[Step]:
    """A step per lookup whose weights of tokens a legacy file holds.

    tf.keras writes them as the layer's only variable, and names it `Variable`.

    Args:
        stored: the file's table.
        expected: the model's table.
        used: keys on either side that have their counterpart.
    """
    by_layer: dict[str, list[TensorRecord]] = {}
    for record in stored.tensors.values():
        if record.role == "weight":
            by_layer.setdefault(record.layer, []).append(record)
    alone = {
        stored.layers[layer].name: records[0]
        for layer, records in by_layer.items()
        if layer in stored.layers and len(records) == 1 and records[0].key not in used
    }
    for record in expected.tensors.values():
        if record.variable != _WEIGHTS or record.role != "state" or record.key in used:
            continue
        found = [alone[name] for name in record.name.split("/")[:-1] if name in alone]
        if len(found) == 1 and found[0].spec.shape == record.spec.shape:
            yield Step(record.key, (found[0].key,))
