"""Tensors whose place in a file is known, read in threads and digested while they are in the cache.

An `Arena` reads each byte once: into memory of its own, aligned as the model needs it, or, where
only digests are asked for, through a buffer that the next piece overwrites.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_128, xxh3_128_hexdigest

from kerasguard.errors import ManifestError
from kerasguard.storage.file_survey import by_recorded_name
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Extent, TensorRecord
from kerasguard.tensors.elements import Array, count_nonfinite, numpy_dtype

__all__ = ["Arena", "Loaded", "Memory", "aligned"]

# TensorFlow copies arrays that do not begin at a multiple of this.
_ALIGNMENT = 64
# What is read and digested at a time: fits the second-level cache.
_PIECE = 1 << 20
# Tensors below this size share a system call and an allocation.
_SMALL = 1 << 16
# From this size on NumPy asks for huge pages.
_LARGE = 1 << 22
# Linux takes at most 1024 buffers per call; every tensor may bring a gap along.
_PER_CALL = 500

# Ten thousand tensors have but a few dtypes.
_dtype = cache(numpy_dtype)

_Bytes = npt.NDArray[np.uint8]
Memory = Callable[[int], _Bytes]
"""Gives as many bytes as it is asked for, at a multiple of 64."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tensor that was read.

    Args:
        array: 64-byte aligned, C-ordered, writable; None where only its digest was asked for.
        digest: of its bytes.
        nonfinite: number of NaN and infinite elements; None where nobody asked.
    """

    array: Array | None
    digest: str
    nonfinite: int | None


class Arena:
    """Tensors being read in threads.

    Args:
        files: of the checkpoint, by name; they stay open until `wait` has returned.
        records: tensors to read; each has an extent as long as its spec says.
        count_nonfinite: whether to count NaN and infinite elements as well.
        keep: whether to keep what is read; else it takes a piece of memory per thread.
        threads: by default one per processor, two at most: reading is bound by memory.
        memory: for large tensors that are kept.

    Raises:
        ManifestError: an extent contradicts its tensor's spec or names no file.
    """

    def __init__(
        self,
        files: Mapping[str, OpenedFile],
        records: Iterable[TensorRecord],
        *,
        count_nonfinite: bool,
        keep: bool = True,
        threads: int | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._count, self._keep, self._new = count_nonfinite, keep, memory
        self._scratch = threading.local()
        self._threads = threads or min(2, os.cpu_count() or 1)
        placed = [(record, _extent(record)) for record in records]
        names = {extent.file for _, extent in placed}
        self._files = by_recorded_name(files, names)
        if strange := names - self._files.keys():
            raise ManifestError(f"tensors are in {min(strange)!r}, which the checkpoint lacks")
        self._work = _share(placed)
        self._futures: list[Future[dict[str, Loaded]]] = []
        self._loaded: dict[str, Loaded] | None = None

    def start(self) -> None:
        """Begin to read; returns at once."""
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="kerasguard-arena")
        self._futures = [pool.submit(self._read, batch) for batch in self._work]
        pool.shutdown(wait=False)

    def read(self) -> dict[str, Loaded]:
        """All tensors by key, read in this thread; errors as for `wait`."""
        return {k: v for batch in self._work for k, v in self._read(batch).items()}

    def wait(self) -> dict[str, Loaded]:
        """All tensors by key, once the last one is read; asking again costs nothing.

        Raises:
            CheckpointError: the file cannot be read or ends before a tensor does.
        """
        if self._loaded is None:
            try:
                self._loaded = {
                    k: v for future in self._futures for k, v in future.result().items()
                }
            finally:
                self.close()
        return self._loaded

    def close(self) -> None:
        """Read no further; tensors being read are finished first."""
        for future in self._futures:
            future.cancel()
        for future in self._futures:
            if not future.cancelled():
                future.exception()
        self._futures = []

    def _read(self, batch: Sequence[tuple[TensorRecord, Extent]]) -> dict[str, Loaded]:
        if len(batch) == 1:
            record, extent = batch[0]
            return {record.key: self._read_large(record, extent)}
        return self._read_small(batch)

    def _read_large(self, record: TensorRecord, extent: Extent) -> Loaded:
        dtype = _dtype(record.spec.dtype)
        file = self._files[extent.file]
        data = self._memory(extent.length if self._keep else _PIECE)
        state, nonfinite = xxh3_128(), 0
        for start in range(0, extent.length, _PIECE):
            length = min(_PIECE, extent.length - start)
            piece = data[start : start + length] if self._keep else data[:length]
            file.read_into(piece.data, extent.offset + start)
            state.update(piece.data)
            if self._count:
                nonfinite += count_nonfinite(piece.view(dtype))
        return Loaded(
            data.view(dtype).reshape(record.spec.shape) if self._keep else None,
            f"xxh3:{state.hexdigest()}",
            nonfinite if self._count else None,
        )

    def _read_small(self, batch: Sequence[tuple[TensorRecord, Extent]]) -> dict[str, Loaded]:
        ends = list(accumulate(_rounded(extent.length) for _, extent in batch))
        whole = self._memory(ends[-1]).data
        parts = [
            whole[end - _rounded(extent.length) :][: extent.length]
            for end, (_, extent) in zip(ends, batch, strict=True)
        ]
        _scatter(self._files[batch[0][1].file], parts, [extent for _, extent in batch])
        loaded = {}
        for (record, _), part in zip(batch, parts, strict=True):
            array = np.ndarray(record.spec.shape, _dtype(record.spec.dtype), part)
            loaded[record.key] = Loaded(
                array if self._keep else None,
                f"xxh3:{xxh3_128_hexdigest(part)}",
                count_nonfinite(array) if self._count else None,
            )
        return loaded

    def _memory(self, length: int) -> _Bytes:
        """Memory to keep, or this thread's own, which the next call overwrites."""
        if self._keep:
            return self._new(length) if self._new and length >= _LARGE else aligned(length)
        found: _Bytes | None = getattr(self._scratch, "bytes", None)
        if found is None or len(found) < length:
            found = self._scratch.bytes = aligned(max(length, _PIECE))
        return found[:length]


def _extent(record: TensorRecord) -> Extent:
    extent = record.extent
    length = record.spec.size * _dtype(record.spec.dtype).itemsize
    if extent is None or extent.length != length:
        raise ManifestError(
            f"{record.label} is {record.spec}, {length} bytes; its place in the file "
            f"is {extent}; record the checkpoint again"
        )
    return extent


def _share(
    placed: list[tuple[TensorRecord, Extent]],
) -> list[list[tuple[TensorRecord, Extent]]]:
    """Pieces of work: large tensors first and alone, small neighbours together."""
    large = [item for item in placed if item[1].length > _SMALL]
    small = [item for item in placed if item[1].length <= _SMALL]
    work = [[item] for item in sorted(large, key=lambda item: -item[1].length)]
    batch: list[tuple[TensorRecord, Extent]] = []
    total = 0
    for item in sorted(small, key=lambda item: (item[1].file, item[1].offset)):
        total += item[1].length
        if not batch or len(batch) >= _PER_CALL or total > _PIECE or _apart(batch[-1][1], item[1]):
            batch, total = [], item[1].length
            work.append(batch)
        batch.append(item)
    return work


def _apart(before: Extent, after: Extent) -> bool:
    """Whether one system call cannot read both, or would read too much between them."""
    gap = after.offset - before.offset - before.length
    return before.file != after.file or not 0 <= gap <= _SMALL


def _scatter(file: OpenedFile, parts: Sequence[memoryview], extents: Sequence[Extent]) -> None:
    """Fill each part from its extent; neighbours in ascending order, with small gaps."""
    waste = memoryview(bytearray(_SMALL))
    buffers: list[memoryview] = []
    position = start = extents[0].offset
    for part, extent in zip(parts, extents, strict=True):
        if extent.offset > position:
            buffers.append(waste[: extent.offset - position])
        if extent.length:  # a system call for nothing but empty tensors would read nothing
            buffers.append(part)
        position = extent.offset + extent.length
    while buffers:
        count = file.scatter(buffers, start)
        start += count
        while buffers and count >= len(buffers[0]):
            count -= len(buffers.pop(0))
        if count:
            buffers[0] = buffers[0][count:]


def aligned(length: int) -> _Bytes:
    """Bytes that begin at a multiple of 64.

    NumPy asks for huge pages where an array is large. The kernel clears those one by one although
    each is overwritten at once, and on a virtual machine may first have to get them back from the
    host: that took most of the time of a load. So large memory comes from the system, with
    whatever pages it gives to those who ask for nothing.
    """
    if length >= _LARGE and hasattr(mmap, "MAP_PRIVATE"):
        memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(memory, np.uint8)
    data = np.empty(length + _ALIGNMENT, np.uint8)
    shift = -data.ctypes.data % _ALIGNMENT
    return data[shift : shift + length]


def _rounded(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT
