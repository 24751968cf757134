"""Tables of tensors that are named by the path of their variable: `head/kernel`, `head.weight`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kerasguard.tensors import Extent, LayerRecord, Role, Table, TensorRecord, TensorSpec

__all__ = ["state_table", "table_of"]

_ROLES: Mapping[str, Role] = {"optimizer_variables": "optimizer", "metrics_variables": "metric"}


def table_of(specs: Mapping[str, TensorSpec], extents: Mapping[str, Extent]) -> Table:
    """A record per tensor; a layer's key is what its variables' paths have in common.

    Args:
        specs: by the path of the variable, in levels apart by slashes, or by dots as in PyTorch.
        extents: where the tensors lie that lie in a file.
    """
    records = [_record(name, spec, extents.get(name)) for name, spec in specs.items()]
    layers = {r.layer: LayerRecord(r.layer, _levels(r.layer)[1]) for r in records}
    return Table.of(records, layers=layers, addressing="name")


def _record(name: str, spec: TensorSpec, extent: Extent | None) -> TensorRecord:
    layer, variable = _levels(name)
    return TensorRecord(name, spec, name, variable, layer or name, extent=extent)


def _levels(path: str) -> tuple[str, str]:
    """All levels but the last, and the last."""
    outer, _, last = path.rpartition("/" if "/" in path else ".")
    return outer, last


def state_table(specs: Mapping[str, TensorSpec]) -> Table:
    """A table of the state tree of a Keras 3 model: variables' paths below what they are for.

    Args:
        specs: by place in the tree: `trainable_variables/head/kernel`.
    """
    records = {key: _state(key, spec) for key, spec in specs.items()}
    weights = {
        record.name.replace("/", "_") + "_": key
        for key, record in records.items()
        if record.role == "weight"
    }
    longest = sorted(weights, key=len, reverse=True)
    layers: dict[str, LayerRecord] = {}
    for key, record in records.items():
        if record.role == "weight":
            layers[record.layer] = LayerRecord(record.layer, _levels(record.layer)[1])
        elif record.role == "optimizer":
            owner, name = _levels(record.name)
            layers.setdefault("optimizer", LayerRecord("optimizer", owner))
            start = next((w for w in longest if name.startswith(w)), "")
            slot, of = name[len(start) :], weights.get(start, "")
            records[key] = replace(record, layer="", variable=slot, slot=slot, slot_of=of)
    return Table(records, layers, "name")


def _state(key: str, spec: TensorSpec) -> TensorRecord:
    group, _, path = key.partition("/")
    layer, variable = _levels(path)
    role = _ROLES.get(group, "seed" if variable == "seed_generator_state" else "weight")
    trainable = group == "trainable_variables"
    return TensorRecord(key, spec, path, variable, layer or path, role, trainable)
