"""Locally connected layers of files that keep every layer's tensors under a key of its own.

Such files are paired layer by layer, so the stored table is shown as if each of these layers were
the EinsumDense that computes it today; what that takes is done to their tensors first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kerasguard.layouts.leaf import local_steps, match_variables
from kerasguard.layouts.locally_connected import CLASSES
from kerasguard.layouts.origin import Origin
from kerasguard.planning.operations import Op, Step
from kerasguard.tensors import Table, TensorRecord, TensorSpec

__all__ = ["as_dense"]

Json = Mapping[str, Any]
_Pairs = list[tuple[TensorRecord, TensorRecord]]


def as_dense(
    stored: Table, expected: Table, architecture: Json | None, writer: Mapping[str, str]
) -> tuple[Table, dict[str, tuple[Op, ...]]]:
    """The stored table with an EinsumDense for every locally connected layer.

    Args:
        stored: the file's table.
        expected: of the model that was built from `architecture`.
        architecture: the config that the file holds, as stored.
        writer: what the file tells of its writer.

    Returns:
        The table, and by stored key the operations that make its tensors what it says. A layer
        whose tensors do not fit its config stays as it is.
    """
    first: dict[str, tuple[Op, ...]] = {}
    if not any(layer.class_name in CLASSES for layer in stored.layers.values()):
        return stored, first
    configs = Origin.of(writer, architecture).local
    tensors, layers = dict(stored.tensors), dict(stored.layers)
    for key, layer in stored.layers.items():
        if layer.class_name not in CLASSES or layer.name not in configs:
            continue
        pairs = _pairs(stored, key, expected, layer.name)
        steps = local_steps(pairs, configs[layer.name])
        if steps:
            layers[key] = replace(layer, class_name="EinsumDense")
            for record in _as_expected(stored, pairs, steps, first):
                tensors[record.key] = record
    return replace(stored, tensors=tensors, layers=layers), first


def _pairs(stored: Table, key: str, expected: Table, name: str) -> _Pairs:
    """Stored and expected tensors of a layer; none where there is no EinsumDense of its name."""
    twins = [
        k for k, r in expected.layers.items() if r.name == name and r.class_name == "EinsumDense"
    ]
    if len(twins) != 1:
        return []
    have, want = (
        [r for r in table.tensors.values() if r.layer == owner and r.role == "weight"]
        for table, owner in ((stored, key), (expected, twins[0]))
    )
    return match_variables(have, want) or []


def _as_expected(
    stored: Table, pairs: _Pairs, steps: tuple[Step, ...], first: dict[str, tuple[Op, ...]]
) -> list[TensorRecord]:
    """The stored records, and those of their slots, in the shapes of today; notes how."""
    records = []
    for (old, new), step in zip(pairs, steps, strict=True):
        slots = [
            r
            for r in stored.tensors.values()
            if r.slot_of == old.key and r.spec.shape == old.spec.shape
        ]
        records.append(replace(_shaped(old, new), variable=new.variable))
        records += [_shaped(slot, new) for slot in slots]
        first |= {r.key: step.ops for r in (old, *slots) if step.ops}
    return records


def _shaped(record: TensorRecord, like: TensorRecord) -> TensorRecord:
    return replace(record, spec=TensorSpec(like.spec.shape, record.spec.dtype))
