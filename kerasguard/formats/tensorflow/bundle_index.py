"""The index of a tensor bundle: what it tells of every tensor, and of every slice of one."""

from __future__ import annotations

from dataclasses import dataclass, field

from kerasguard.errors import CorruptCheckpointError, UnknownFormatError
from kerasguard.formats.tensorflow.protobuf_wire import (
    WireError,
    as_bytes,
    as_number,
    fields,
    signed,
)
from kerasguard.formats.tensorflow.sorted_table import read_table
from kerasguard.storage.budget import excess
from kerasguard.storage.opened_file import OpenedFile

__all__ = ["BundleIndex", "Entry", "Slice", "read_index"]

_REFERENCE = 100  # TensorFlow 0.x and 1.x add it to the dtype of a variable
_NEWEST = 1  # version of the format that this reader knows
_MOST_SHARDS = 100_000

Slice = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index tells of one tensor or of one slice.

    Args:
        dtype: TensorFlow's number.
        shape: sizes of the axes.
        shard: number of the data file.
        offset: first byte in it.
        size: number of bytes.
        crc: CRC32C of the bytes, as stored (masked).
        slices: of a partitioned variable, each as (start, length) per axis, length -1 for all,
            in ascending order.
    """

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True)
class BundleIndex:
    """A parsed index.

    Args:
        shards: number of data files.
        entries: by the tensor's name.
        slices: of each partitioned variable, by its name, in the order of their places.
    """

    shards: int
    entries: dict[str, Entry] = field(default_factory=dict)
    slices: dict[str, list[Entry]] = field(default_factory=dict)


def read_index(file: OpenedFile) -> BundleIndex:
    """Parse a `.index` file.

    Raises:
        CorruptCheckpointError: it is damaged.
        UnknownFormatError: it is big-endian, compressed or of a newer version.
    """
    shards = -1
    entries: dict[str, Entry] = {}
    slices: dict[str, list[Entry]] = {}
    try:
        for key, value in read_table(file):
            if key == b"":
                shards = _header(file, value)
            elif key.startswith(b"\0"):
                slices.setdefault(_sliced_name(key), []).append(_entry(value))
            else:
                entries[key.decode()] = _entry(value)
    except (WireError, UnicodeDecodeError) as error:
        raise CorruptCheckpointError(
            file.path, f"an entry cannot be read: {error}; it is damaged: copy it again"
        ) from error
    if shards < 0 or excess(shards, _MOST_SHARDS):
        raise CorruptCheckpointError(
            file.path, "has no header of a tensor bundle; it is damaged: copy it again"
        )
    return BundleIndex(shards, entries, slices)


def _header(file: OpenedFile, data: bytes) -> int:
    """The number of shards, after what cannot be read was refused."""
    told = dict(fields(data))
    if told.get(2, 0) != 0:
        raise UnknownFormatError(
            file.path, "was written on a big-endian machine; write it again on a little-endian one"
        )
    version = told.get(3, b"")
    needed = dict(fields(version)).get(2, 0) if isinstance(version, bytes) else 0
    if isinstance(needed, int) and needed > _NEWEST:
        raise UnknownFormatError(
            file.path,
            f"needs a reader of version {needed}, but this one is {_NEWEST}; update kerasguard",
        )
    return as_number(told.get(1, 0))


def _sliced_name(key: bytes) -> str:
    """The tensor's name in a slice's key: escaped, between a zero byte and an end mark.

    What follows is the slice's place, encoded so that bytes sort as places do; the table's order
    tells therefore which slice is which, without decoding.
    """
    name, mark, _ = key[1:].partition(b"\0\x01")
    if not mark:
        raise WireError("the name in a slice's key does not end")
    return name.replace(b"\0\xff", b"\0").replace(b"\xff\0", b"\xff").decode()


def _entry(data: bytes) -> Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    slices = []
    for number, value in fields(data):
        if number in numbers:
            numbers[number] = as_number(value)
        elif number == 2:
            shape = tuple(_axis(dim) for n, dim in fields(as_bytes(value)) if n == 2)
        elif number == 7:
            slices.append(tuple(_part(p) for n, p in fields(as_bytes(value)) if n == 1))
    dtype = numbers[1] - _REFERENCE if numbers[1] > _REFERENCE else numbers[1]
    shard, offset, size, crc = (numbers[n] for n in (3, 4, 5, 6))
    return Entry(dtype, shape, shard, offset, size, crc, tuple(sorted(slices)))


def _axis(value: int | bytes) -> int:
    return signed(as_number(dict(fields(as_bytes(value))).get(1, 0)))


def _part(value: int | bytes) -> tuple[int, int]:
    """Start and length along one axis; a length that is not told is all of it."""
    told = dict(fields(as_bytes(value)))
    length = signed(as_number(told[2])) if 2 in told else -1
    return signed(as_number(told.get(1, 0))), length
