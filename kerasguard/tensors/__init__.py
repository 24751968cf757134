"""What a tensor is: the common ground of the three tables, and the elements themselves.

A `Table` describes everything that holds tensors, whether a live model (*expected*), a
manifest (*recorded*) or a checkpoint file (*stored*). All three have the same type, so
a rule can compare any two of them. Start here; `records` and `layers` say what a table holds, and
`elements` is about the bytes: dtypes, digests, counts. Nothing here knows a file or a framework,
and whoever only compares records does not wait for NumPy: `elements` is imported by its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kerasguard.tensors.layers import Ends, LayerRecord, Node, Use, auto_named, snake_case
from kerasguard.tensors.records import Box, Extent, Role, Shard, TensorRecord, TensorSpec

__all__ = [
    "Box",
    "Ends",
    "Extent",
    "LayerRecord",
    "Node",
    "Role",
    "Shard",
    "Table",
    "TensorRecord",
    "TensorSpec",
    "Use",
    "auto_named",
    "snake_case",
]

Addressing = Literal["key", "order", "name"]


@dataclass(frozen=True, slots=True)
class Table:
    """All tensors and layers of a model, a manifest or a checkpoint.

    Args:
        tensors: records by key, in the table's own order.
        layers: records by key, in graph or file order; may be empty where unknown.
        addressing: how this table's keys relate to a Keras 3 model's keys: `key` (the same
            keys), `order` (the n-th layer with weights) or `name` (the variable's path).
        ends: of every functional model whose graph is known, by its key; `""` is the whole.
        use: what the code of the model itself says; None where nobody recorded that.
    """

    tensors: Mapping[str, TensorRecord]
    layers: Mapping[str, LayerRecord] = field(default_factory=dict)
    addressing: Addressing = "key"
    ends: Mapping[str, Ends] = field(default_factory=dict)
    use: Use | None = None

    @staticmethod
    def of(records: Iterable[TensorRecord], **rest: object) -> Table:
        """A table of `records` (and `layers=`, `addressing=`, `ends=`, `use=`)."""
        return Table({r.key: r for r in records}, **rest)  # type: ignore[arg-type]

    def members(self) -> dict[str, list[TensorRecord]]:
        """Records by the key of their layer, both in table order."""
        groups: dict[str, list[TensorRecord]] = {}
        for record in self.tensors.values():
            groups.setdefault(record.layer, []).append(record)
        return groups
