"""The three tables' common ground: what a tensor is, without its bytes.

A `Table` describes everything that holds tensors, whether a live model (*expected*), a
manifest (*recorded*) or a checkpoint file (*stored*). All three have the same type, so
a rule can compare any two of them. Nothing here knows a file or a framework.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = [
    "Extent",
    "LayerRecord",
    "Role",
    "Shard",
    "Table",
    "TensorRecord",
    "TensorSpec",
    "Use",
    "auto_named",
    "snake_case",
]

# Bytes of an element by dtype; NumPy gives int4 and its like a byte each.
_ITEMSIZES = {
    **dict.fromkeys(("bool", "int8", "uint8", "int4", "uint4", "int2", "uint2"), 1),
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
    "complex128": 16,
}

Role = Literal["weight", "optimizer", "metric", "seed", "state", "asset", "probe"]
Addressing = Literal["key", "order", "name"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and dtype of a tensor.

    Args:
        shape: sizes of the axes, outermost first.
        dtype: a Keras dtype string such as `"float32"` or `"bfloat16"`.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def itemsize(self) -> int:
        """Size of an element in bytes. Raises ValueError if `dtype` is not a dtype of a tensor."""
        try:
            return _ITEMSIZES[self.dtype]
        except KeyError:
            raise ValueError(f"{self.dtype!r} is not a dtype of a tensor") from None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.itemsize

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a tensor's bytes lie, if they lie in one piece, uncompressed and little-endian.

    Args:
        file: the name of one of the checkpoint's files, relative to its folder, `/` between parts.
        offset: first byte, from the start of that file.
        length: number of bytes.
    """

    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of a larger tensor a stored one is, as variables of parameter servers are.

    Args:
        index: its rank among the parts, which follow each other along the first axis.
        count: of all parts.
        whole: digest of the larger tensor.
    """

    index: int
    count: int
    whole: str


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """What is known of one tensor.

    Args:
        key: how the table addresses it; in Keras 3 files `layers/dense/vars/0`.
        spec: shape and dtype.
        name: the path that a person knows it by, `head/kernel`.
        variable: the last part of that path, `kernel`; empty where unknown.
        layer: key of the layer that owns it in `Table.layers`; empty where unknown.
        role: what the tensor is for; an `asset` is a file of a layer (a vocabulary), as bytes.
        trainable: whether gradients change it; None where unknown.
        digest: names its algorithm, `xxh3:...`; None where the bytes were not read.
        nonfinite: number of NaN and infinite elements; None where the bytes were not read.
        extent: the bytes' place, where they lie in one piece.
        slot: of an optimizer's tensor, the slot (`momentum`).
        slot_of: of an optimizer's slot, the key of the weight it belongs to.
        attribute: under which attribute, list entry or dict key a user-defined layer holds
            it, `parts[0]` or `parts[query]`; empty where unknown.
        data: the bytes themselves, where the manifest holds them: small state that Keras did not
            write.
        stored_as: how the checkpoint itself calls it, where that is not `key`.
        shard: of which larger tensor it is a part; None where it is whole.
        extra: fields of a manifest that this version does not know; kept.
    """

    key: str
    spec: TensorSpec
    name: str = ""
    variable: str = ""
    layer: str = ""
    role: Role = "weight"
    trainable: bool | None = None
    digest: str | None = None
    nonfinite: int | None = None
    extent: Extent | None = None
    slot: str = ""
    slot_of: str = ""
    attribute: str = ""
    data: bytes | None = field(default=None, repr=False)
    stored_as: str = ""
    shard: Shard | None = None
    extra: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def own_key(self) -> str:
        """What the checkpoint itself calls it."""
        return self.stored_as or self.key

    @property
    def label(self) -> str:
        """What messages call the tensor: its name, else its key."""
        return self.name or self.key

    def holding(self, stored: TensorRecord, stored_as: str) -> TensorRecord:
        """This record with the bytes of another one, and the key that the file has them under."""
        return replace(
            self,
            spec=stored.spec,
            digest=stored.digest,
            nonfinite=stored.nonfinite,
            extent=stored.extent,
            stored_as=stored_as,
        )


Node = tuple[tuple[str, int, int], ...]
Ends = tuple[Node, Node]
"""Inputs and outputs of a graph, in order, each as (layer key, call index, tensor index)."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a model's code does with a layer, beside what the layer's config tells.

    Args:
        arguments: a text per call: all that it was called with, tensors as `~`; an empty text for
            a call on one tensor, and none where all calls are such. None where the calls are
            unknown.
        graph: as `LayerRecord.inbound`, in a model whose config does not spell out its layers.
        policy: name of the dtype policy; empty where that does not matter.
        held: every place where a user-defined class holds it: attributes, list entries and
            dict keys, `layers/block.parts[0]`.
        settings: what a user-defined layer was given, by argument, as texts.
        built: whether it had its variables.
    """

    arguments: tuple[str, ...] | None = None
    graph: tuple[Node, ...] | None = None
    policy: str = ""
    held: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    built: bool = True


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """What is known of one layer, with or without weights.

    Args:
        key: its path in the checkpoint, `layers/dense`; nested models repeat the pattern.
        name: the name that the layer carries.
        class_name: `Dense`; empty where unknown. Only the class, no module.
        config_digest: of the config without names and without what cannot change
            predictions; empty where unknown.
        inbound: a tuple per call: the tensors it was called on, each as
            (layer key, call index, tensor index). None where the graph is unknown.
        position: rank among its siblings in graph order; -1 where unknown.
        attribute: under which attribute, or key of a dict, a user-defined class holds it,
            `layers/block.parts[query]`; empty where unknown.
        use: what the model's code does with it; None where nobody recorded that.
        extra: fields of a manifest that this version does not know; kept.
    """

    key: str
    name: str
    class_name: str = ""
    config_digest: str = ""
    inbound: tuple[Node, ...] | None = None
    position: int = -1
    attribute: str = ""
    use: Use | None = None
    extra: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def auto_named(self) -> bool:
        """Whether Keras made the name up, so that it is weak evidence."""
        return auto_named(self.name, snake_case(self.class_name))


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


@functools.lru_cache(4096)
def snake_case(class_name: str) -> str:
    """`Conv2DTranspose` -> `conv2d_transpose`, as Keras derives names from classes."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_named(name: str, kind: str) -> bool:
    """Whether Keras gives `name` by itself to a class that is `kind` in snake case (`dense_3`)."""
    if not kind or not name.startswith(kind):
        return False
    rest = name[len(kind) :]
    return not rest or (rest[0] == "_" and rest[1:].isdecimal())
