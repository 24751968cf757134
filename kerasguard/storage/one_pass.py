"""Files read once, from their first byte to their last, into every digest that a manifest has.

That is one per tensor, one of what lies between the tensors, and SHA-256 of each file as a whole,
which is made in another thread of the pieces that were read for the rest. Nothing is kept.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_128

from kerasguard.errors import ManifestError
from kerasguard.manifest import FileRecord
from kerasguard.storage.arena import Arena, Loaded, aligned
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table, TensorRecord
from kerasguard.tensors.elements import count_nonfinite, numpy_dtype

__all__ = ["Digests", "file_records", "read_once"]

Bytes = npt.NDArray[np.uint8]
_dtype = cache(numpy_dtype)  # ten thousand tensors have but a few
_PIECE = 1 << 21
# So many buffers take turns: more of them would not stay in the second-level cache.
_BUFFERS = 2
# Tensors and gaps up to this size are read together with their neighbours.
_SMALL = 1 << 16


@dataclass(frozen=True)
class Digests:
    """What was found.

    Args:
        tensors: digest and number of NaN and infinite elements by key; no arrays.
        skeletons: by file, digest of all bytes outside the tensors, as `OpenedFile.skeleton`.
        sha256: of each file, hexadecimal; empty where nobody wants it.
    """

    tensors: dict[str, Loaded] = field(default_factory=dict)
    skeletons: dict[str, str] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)


def read_once(files: Mapping[str, OpenedFile], table: Table, *, sha256: bool = True) -> Digests:
    """Read every byte of a checkpoint's files.

    Args:
        files: by name.
        table: its tensors; those that lie at a known place are digested.
        sha256: whether to digest each file as a whole, too.

    Raises:
        CheckpointError: a file cannot be read, or is shorter than it was.
        ManifestError: a tensor's place contradicts its spec, or is in no such file.
    """
    found = Digests()
    by_file: dict[str, list[TensorRecord]] = {name: [] for name in files}
    others: list[TensorRecord] = []  # that share bytes, and such as an arena refuses
    for record in sorted(table.tensors.values(), key=_place):
        if record.extent is None:
            continue
        if record.extent.file not in files:
            name = record.extent.file
            raise ManifestError(f"tensors are in {name!r}, which the checkpoint lacks")
        apart = by_file[record.extent.file]
        after = not apart or _end(apart[-1]) <= record.extent.offset
        fits = after and record.extent.length == record.spec.nbytes
        (apart if fits else others).append(record)
    with ThreadPoolExecutor(1, thread_name_prefix="kerasguard-sha256") as pool:
        for name, file in files.items():
            reader = _Reader(file, pool if sha256 else None, found.tensors)
            reader.read(by_file[name])
            found.skeletons[name] = f"xxh3:{reader.skeleton.hexdigest()}"
            found.sha256[name] = reader.whole.hexdigest() if sha256 else ""
    found.tensors.update(Arena(files, others, count_nonfinite=True, keep=False).read())
    for name in {r.extent.file for r in others if r.extent}:
        extents = [_place(r) for r in table.tensors.values() if r.extent and r.extent.file == name]
        found.skeletons[name] = files[name].skeleton(extents)  # what only they cover is none of it
    return found


def file_records(checkpoint: Checkpoint, digests: Digests) -> tuple[FileRecord, ...]:
    """Describe the files of a checkpoint: sizes, SHA-256, skeletons, zip members."""
    members = checkpoint.member_records()
    return tuple(
        FileRecord(
            name,
            file.size,
            sha256=digests.sha256[name],
            skeleton=digests.skeletons[name],
            members=members,
        )
        for name, file in checkpoint.files().items()
    )


class _Reader:
    """One file, read in pieces that each go into SHA-256 and into one or several other digests."""

    def __init__(
        self, file: OpenedFile, pool: ThreadPoolExecutor | None, found: dict[str, Loaded]
    ) -> None:
        self.whole, self.skeleton = hashlib.sha256(), xxh3_128()
        self._file, self._pool, self._found = file, pool, found
        self._buffers: deque[tuple[Bytes, Future[None] | None]] = deque()
        self._start = self._total = 0
        self._run: list[tuple[TensorRecord | None, int]] = []

    def read(self, records: Iterable[TensorRecord]) -> None:
        """All of the file; the tensors lie apart, in ascending order."""
        position = 0
        for record in records:
            assert record.extent is not None
            self._add(None, position, record.extent.offset - position)
            self._add(record, record.extent.offset, record.extent.length)
            position = record.extent.offset + record.extent.length
        self._add(None, position, max(self._file.size - position, 0))
        self._flush()
        for _, busy in self._buffers:
            _wait(busy)

    def _add(self, record: TensorRecord | None, offset: int, length: int) -> None:
        """The next bytes, of a tensor or of no tensor; small ones wait for their neighbours."""
        if length > _SMALL:
            self._flush()
            self._stream(record, offset, length)
            return
        if self._total + length > _PIECE:
            self._flush()
        if not self._run:
            self._start = offset
        self._run.append((record, length))
        self._total += length

    def _flush(self) -> None:
        """Read what waits."""
        piece, end = self._piece(self._start, self._total), 0
        for record, length in self._run:
            part = piece[end : end + length]
            end += length
            if record is None:
                self.skeleton.update(part.data)
            else:
                array = part.copy().view(_dtype(record.spec.dtype))  # aligned
                self._keep(record, xxh3_128(part.data), count_nonfinite(array))
        self._run, self._total = [], 0

    def _stream(self, record: TensorRecord | None, offset: int, length: int) -> None:
        state, nonfinite = self.skeleton if record is None else xxh3_128(), 0
        for start in range(0, length, _PIECE):
            piece = self._piece(offset + start, min(_PIECE, length - start))
            state.update(piece.data)
            if record is not None:
                nonfinite += count_nonfinite(piece.view(_dtype(record.spec.dtype)))
        if record is not None:
            self._keep(record, state, nonfinite)

    def _keep(self, record: TensorRecord, state: xxh3_128, nonfinite: int) -> None:
        self._found[record.key] = Loaded(None, f"xxh3:{state.hexdigest()}", nonfinite)

    def _piece(self, offset: int, length: int) -> Bytes:
        """Bytes of the file, which stay until some more pieces were read."""
        if len(self._buffers) < _BUFFERS:
            buffer = aligned(_PIECE)
        else:
            buffer, busy = self._buffers.popleft()
            _wait(busy)
        piece = buffer[:length]
        self._file.read_into(piece.data, offset)
        busy = None if self._pool is None else self._pool.submit(self.whole.update, piece.data)
        self._buffers.append((buffer, busy))
        return piece


def _wait(busy: Future[None] | None) -> None:
    if busy is not None:
        busy.result()


def _end(record: TensorRecord) -> int:
    assert record.extent is not None
    return record.extent.offset + record.extent.length


def _place(record: TensorRecord) -> tuple[int, int]:
    """Offset and length, for sorting."""
    extent = record.extent
    return (0, 0) if extent is None else (extent.offset, extent.length)
