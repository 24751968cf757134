"""Tables of tensors that are named by the path of their variable: `head/kernel`, `head.weight`."""

from __future__ import annotations

from collections.abc import Mapping

from kerasguard.tensors import Extent, LayerRecord, Table, TensorRecord, TensorSpec

__all__ = ["table_of"]


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
