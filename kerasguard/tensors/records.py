"""What is known of one tensor: shape and dtype, place, digest, owner; never its bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["Box", "Extent", "Role", "Shard", "TensorRecord", "TensorSpec"]

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
class Box:
    """What a device held of a tensor that was spread over a mesh of devices.

    Args:
        start: its first element, along each axis.
        shape: its sizes.
        digest: of its elements.
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]
    digest: str

    @property
    def slices(self) -> tuple[slice, ...]:
        """Which elements of the tensor these are."""
        ends = zip(self.start, self.shape, strict=True)
        return tuple(slice(start, start + size) for start, size in ends)


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
        boxes: what devices held of it, each element once; empty where each held all of it.
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
    boxes: tuple[Box, ...] = ()
    extra: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def own_key(self) -> str:
        """What the checkpoint itself calls it."""
        return self.stored_as or self.key

    @property
    def name_in_layer(self) -> str:
        """The key without its layer's: in a legacy file, the weight's name without its group's."""
        return self.key.removeprefix(f"{self.layer}/")

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
