"""TensorFlow's tensor bundle: an index of entries and the data files that they point into.

`<prefix>.index` is a sorted table: under the empty key a header, under every tensor's name its
dtype, shape, shard, offset, size and CRC32C; `<prefix>.data-0000n-of-0000m` are plain bytes. A
partitioned variable has an entry that lists its slices and one entry per slice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c
import numpy as np
import numpy.typing as npt

from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats.tensorflow.bundle_index import Entry, Slice, read_index
from kerasguard.formats.tensorflow.protobuf_wire import WireError, varint
from kerasguard.formats.tensorflow.sorted_table import unmasked
from kerasguard.storage.budget import check_shape, excess
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Extent, TensorSpec
from kerasguard.tensors.elements import Array, numpy_dtype

__all__ = ["Bundle"]

# TensorFlow's numbers of the dtypes that lie in a bundle as plain elements.
_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 8: "complex64",
    9: "int64", 10: "bool", 11: "int8", 12: "uint8", 13: "int32", 14: "bfloat16", 15: "int16",
    16: "uint16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64",
    24: "float8_e5m2", 25: "float8_e4m3fn", 29: "int4", 30: "uint4",
}  # fmt: skip
_STRING = 7
_STRINGS_AT_ONCE = 1 << 30


class Bundle:
    """An opened tensor bundle; `entries` and `files` by name.

    Args:
        prefix: the path without `.index`.
        under: the folder that the files' names are told with, `variables/`.

    Raises:
        CheckpointNotFoundError: there is no `<prefix>.index`.
        CorruptCheckpointError: the index is damaged, a data file is missing or too short.
        UnknownFormatError: it is big-endian, compressed or of a newer version.
    """

    def __init__(self, prefix: Path, under: str = "") -> None:
        self.prefix, self._under = prefix, under
        self.files: dict[str, OpenedFile] = {}
        try:
            index = read_index(self._open(f"{prefix.name}.index"))
            self.entries, self._slices, self._shards = index.entries, index.slices, index.shards
            places = [(n, e) for n, e in self.entries.items() if not e.slices]
            places += [(n, e) for n, parts in self._slices.items() for e in parts]
            for shard in sorted({entry.shard for _, entry in places}):
                self._open_shard(shard)
            for name, entry in self.entries.items():
                if not _is_shape(entry.shape):
                    raise self._corrupt(name, f"its shape {str(list(entry.shape))[:80]} is invalid")
            for name, entry in places:
                self._check_place(name, entry)
            self._check_overlaps(places)
        except BaseException:
            self.close()
            raise

    def spec(self, name: str) -> TensorSpec | None:
        """Shape and dtype; None for strings and for what is not a tensor of numbers."""
        entry = self.entries[name]
        dtype = _DTYPES.get(entry.dtype)
        return TensorSpec(entry.shape, dtype) if dtype else None

    def extent(self, name: str) -> Extent | None:
        """Where the bytes lie; None for strings and partitioned variables."""
        entry = self.entries[name]
        if entry.slices or entry.dtype not in _DTYPES:
            return None
        name = self._under + self._shard_name(entry.shard)
        return Extent(name, entry.offset, entry.size)

    def stored_crc(self, name: str) -> int | None:
        """CRC32C of the tensor's bytes as the index has it; None for a partitioned variable."""
        entry = self.entries[name]
        return None if entry.slices else unmasked(entry.crc)

    def read(self, name: str) -> Array:
        """One tensor of numbers, its checksum verified, the slices of a partitioned one joined.

        Raises:
            CorruptCheckpointError: a checksum is wrong, or slices do not cover the tensor.
        """
        entry = self.entries[name]
        if not entry.slices:
            return self._read_plain(name, entry)
        parts = list(self._parts(name, entry))  # all are there before memory is asked for
        result = np.empty(entry.shape, numpy_dtype(_DTYPES[entry.dtype]))
        for place, part in parts:
            index = tuple(slice(start, start + size) for start, size in place)
            result[index] = self._read_plain(name, part)
        return result

    def strings(self, name: str) -> list[bytes]:
        """The elements of a tensor of strings, in C order, their checksums verified."""
        entry = self.entries[name]
        if entry.dtype != _STRING or excess(entry.size, _STRINGS_AT_ONCE):
            raise self._corrupt(name, f"{entry.size} bytes of dtype {entry.dtype} are not strings")
        data = self._file(entry).pread(entry.offset, entry.size)
        lengths, at = [], 0
        try:
            for _ in range(math.prod(entry.shape)):
                length, at = varint(data, at)
                lengths.append(length)
        except WireError as error:
            raise self._corrupt(name, f"its lengths cannot be read, {error}") from error
        body = at + 4  # behind the lengths' own checksum
        if body + sum(lengths) != len(data):
            raise self._corrupt(name, "the strings' lengths do not add up to its size")
        crc = google_crc32c.value(b"".join(map(_counted, lengths)))
        if crc != unmasked(int.from_bytes(data[at:body], "little")) or (
            google_crc32c.extend(crc, data[at:]) != unmasked(entry.crc)
        ):
            raise self._corrupt(name, "its checksum is wrong")
        result = []
        for length in lengths:
            result.append(data[body : body + length])
            body += length
        return result

    def problems(self) -> Iterator[str]:
        """A line per tensor whose bytes do not have the checksum of the index; reads everything."""
        for name, entry in self.entries.items():
            try:
                if entry.dtype == _STRING:
                    self.strings(name)
                elif not all(map(self._intact, self._plain(name, entry))):
                    yield f"{name}: its bytes do not match the checksum stored with them"
            except CorruptCheckpointError as error:
                yield str(error).removeprefix(f"{self.prefix}: ")

    def close(self) -> None:
        """Close all files; a second call does nothing."""
        for file in self.files.values():
            file.close()

    def _open(self, name: str) -> OpenedFile:
        file = self.files[self._under + name] = OpenedFile(self.prefix.parent / name)
        return file

    def _shard_name(self, shard: int) -> str:
        return f"{self.prefix.name}.data-{shard:05d}-of-{self._shards:05d}"

    def _open_shard(self, shard: int) -> None:
        name = self._shard_name(shard)
        if not 0 <= shard < self._shards:
            raise CorruptCheckpointError(
                self.prefix, f"its index names data file {shard} of {self._shards}; copy it again"
            )
        try:
            self._open(name)
        except FileNotFoundError as error:
            raise CorruptCheckpointError(
                self.prefix, f"its data file {name} is missing; copy it beside the index"
            ) from error

    def _check_place(self, name: str, entry: Entry) -> None:
        """Whether the bytes lie within the file and are as many as the shape needs."""
        file = self._file(entry)
        end = entry.offset + entry.size
        if end > file.size:
            raise CorruptCheckpointError(
                file.path,
                f"has {file.size} bytes, {name} ends at byte {end}; it is truncated: copy it again",
            )
        dtype = _DTYPES.get(entry.dtype)
        spec = TensorSpec(entry.shape, dtype) if dtype else None
        if spec and spec.nbytes != entry.size:
            raise self._corrupt(
                name, f"{spec} takes {spec.nbytes} bytes, but {entry.size} are stored"
            )

    def _check_overlaps(self, places: Iterable[tuple[str, Entry]]) -> None:
        """No byte belongs to two tensors; a manifest counts on that, and TensorFlow keeps it."""
        behind: dict[int, tuple[int, str]] = {}
        for name, entry in sorted(places, key=lambda place: place[1].offset):
            end, before = behind.get(entry.shard, (0, ""))
            if entry.size and entry.offset < end:
                raise self._corrupt(name, f"its bytes overlap those of {before}")
            behind[entry.shard] = max((end, before), (entry.offset + entry.size, name))

    def _file(self, entry: Entry) -> OpenedFile:
        return self.files[self._under + self._shard_name(entry.shard)]

    def _read_plain(self, name: str, entry: Entry) -> Array:
        array = np.empty(math.prod(entry.shape), numpy_dtype(_DTYPES[entry.dtype]))
        raw = array.view(np.uint8)
        self._file(entry).read_into(raw.data, entry.offset)
        if _crc(raw, 0) != unmasked(entry.crc):
            raise self._corrupt(name, "its bytes do not match the checksum stored with them")
        return array.reshape(entry.shape)

    def _intact(self, entry: Entry) -> bool:
        crc = 0
        for piece in self._file(entry).pieces(entry.offset, entry.size):
            crc = _crc(np.frombuffer(piece, np.uint8), crc)
        return crc == unmasked(entry.crc)

    def _plain(self, name: str, entry: Entry) -> list[Entry]:
        """The entries that hold the tensor's bytes."""
        return [part for _, part in self._parts(name, entry)] if entry.slices else [entry]

    def _parts(self, name: str, entry: Entry) -> Iterator[tuple[Slice, Entry]]:
        """The slices of a partitioned variable, each with its place; they cover it exactly."""
        parts = self._slices.get(name, [])
        if len(parts) != len(entry.slices) or entry.dtype not in _DTYPES:
            raise self._corrupt(name, f"{len(parts)} of its {len(entry.slices)} slices are present")
        # TensorFlow partitions along one axis; disjoint ranges that add up cover all of it.
        covered, behind = 0, -1
        for told, part in zip(entry.slices, parts, strict=True):
            place = tuple(
                (start, size if size >= 0 else whole)
                for (start, size), whole in zip(told, entry.shape, strict=False)
            )
            fits = len(told) == len(entry.shape) and part.shape == tuple(n for _, n in place)
            inside = all(s + n <= w for (s, n), w in zip(place, entry.shape, strict=False))
            cut = [(s, n) for (s, n), w in zip(place, entry.shape, strict=False) if n != w]
            if not fits or not inside or len(cut) > 1 or part.dtype != entry.dtype:
                raise self._corrupt(name, f"its slice {list(told)} does not fit {entry.shape}")
            start, size = cut[0] if cut else (0, 0)
            if start < behind:
                raise self._corrupt(name, f"its slice {list(told)} overlaps the one before")
            covered, behind = covered + math.prod(part.shape), start + size
            yield place, part
        if covered != math.prod(entry.shape):
            raise self._corrupt(name, f"its slices hold {covered} elements of {entry.shape}")

    def _corrupt(self, name: str, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            self.prefix,
            f"{name:.200}: {what}; the file was damaged after it was written: copy it again",
        )


def _is_shape(shape: tuple[int, ...]) -> bool:
    """Whether some array has it; where there is no zero in it, the bytes will tell."""
    try:
        check_shape(TensorSpec(shape if 0 in shape else (1,) * len(shape), "uint8"))
    except ValueError:
        return False
    return all(axis >= 0 for axis in shape)


def _crc(data: npt.NDArray[np.uint8], crc: int) -> int:
    # The C implementation takes read-only buffers only, memoryviews not even then.
    data.flags.writeable = False
    return int(google_crc32c.extend(crc, data))


def _counted(length: int) -> bytes:
    """A string's length as the checksum sees it: 4 bytes, 8 where it needs them."""
    return length.to_bytes(4 if length < 1 << 32 else 8, "little")
