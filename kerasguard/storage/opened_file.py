"""A checkpoint's files, opened once: what is hashed is what is loaded.

`OpenedFile` is the only way in which a format touches a file.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from kerasguard.errors import CheckpointError, CheckpointNotFoundError, CorruptCheckpointError

if TYPE_CHECKING:
    from typing_extensions import Self


__all__ = ["OpenedFile", "first_bytes"]

# One read: large enough to cost no time by itself, small enough to stay in the cache.
_PIECE = 1 << 20
# What a read of a short gap takes along, in case the next gap is near.
_AHEAD = 1 << 14


class OpenedFile:
    """One regular file behind one descriptor; safe to use from several threads.

    Args:
        path: the file. Symbolic links are followed; FIFOs, devices and folders are refused.

    Raises:
        CheckpointNotFoundError: nothing lies there.
        CheckpointError: it cannot be opened or is not a regular file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._fd = -1
        # Non-blocking, or a FIFO would wait here for a writer that never comes.
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._fd = os.open(self.path, flags | getattr(os, "O_BINARY", 0))
            status = os.fstat(self._fd)
        except (OSError, ValueError) as error:
            raise _unopenable(self.path, error) from error
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise CheckpointError(self.path, f"expected a file, found {kind}; pass the file itself")
        self.size = status.st_size

    def read_into(self, buffer: memoryview | bytearray, offset: int) -> None:
        """Fill all of `buffer` with the bytes from `offset` on.

        Raises:
            CorruptCheckpointError: the file ends before.
        """
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view):
            done += self.scatter([view[done:]], offset + done)

    def scatter(self, buffers: list[memoryview], offset: int) -> int:
        """One system call: fill `buffers` one after the other from `offset` on.

        Returns:
            Number of bytes read, at least 1 and possibly fewer than asked for.
        """
        try:
            count = os.preadv(self._fd, buffers, offset)
        except OSError as error:
            raise CheckpointError(
                self.path, f"cannot be read at byte {offset}: {error.strerror}; check the disk"
            ) from error
        if count == 0:
            raise CorruptCheckpointError(
                self.path,
                f"ends at byte {offset}, but more was expected (it had {self.size} bytes when it "
                "was opened); it is truncated or being written: copy it again",
            )
        return count

    def pread(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset` on; raises as `read_into`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise CorruptCheckpointError(
                self.path,
                f"bytes {offset}..{offset + length} are outside the file of {self.size} bytes; it "
                "is truncated or damaged: copy it again",
            )
        buffer = bytearray(length)
        self.read_into(buffer, offset)
        return bytes(buffer)

    def pieces(
        self, offset: int = 0, length: int | None = None, size: int = _PIECE
    ) -> Iterator[memoryview]:
        """The bytes of a range in pieces of `size`; each is overwritten by the next."""
        end = self.size if length is None else offset + length
        buffer = memoryview(bytearray(min(size, max(end - offset, 0))))
        while offset < end:
            piece = buffer[: min(len(buffer), end - offset)]
            self.read_into(piece, offset)
            yield piece
            offset += len(piece)

    def fileobj(self, offset: int = 0, length: int | None = None) -> io.RawIOBase:
        """A seekable, read-only view of a range; closing it leaves the descriptor open."""
        return _Window(self, offset, self.size - offset if length is None else length)

    def sha256(self, offset: int = 0, length: int | None = None) -> str:
        """SHA-256 of a range (of all by default), hexadecimal. Releases the GIL."""
        state = hashlib.sha256()
        # Large, since each piece waits for the GIL once more.
        for piece in self.pieces(offset, length, 8 * _PIECE):
            state.update(piece)
        return state.hexdigest()

    def skeleton(self, extents: Iterable[tuple[int, int]]) -> str:
        """Digest of all bytes outside `extents`, given as (offset, length) in any order."""
        state = xxhash.xxh3_128()
        start, cached = 0, b""
        for offset, length in _gaps(extents, self.size):
            if length > _PIECE:
                for piece in self.pieces(offset, length):
                    state.update(piece)
                continue
            if offset < start or offset + length > start + len(cached):
                start = offset
                cached = self.pread(offset, min(max(length, _AHEAD), self.size - offset))
            state.update(memoryview(cached)[offset - start : offset - start + length])
        return f"xxh3:{state.hexdigest()}"

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"OpenedFile({str(self.path)!r})"


class _Window(io.RawIOBase):
    """A range of an `OpenedFile` as a file of its own."""

    def __init__(self, file: OpenedFile, offset: int, length: int) -> None:
        super().__init__()
        self._file, self._offset, self._length, self._position = file, offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view = view[: max(0, min(len(view), self._length - self._position))]
        self._file.read_into(view, self._offset + self._position)
        self._position += len(view)
        return len(view)


def first_bytes(path: Path, count: int) -> bytes:
    """Up to `count` bytes from the start of a file; none where there is no readable file."""
    try:
        with OpenedFile(path) as file:
            return file.pread(0, min(count, file.size))
    except CheckpointError:
        return b""


def _gaps(extents: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of what `extents` leave out of `size` bytes, ascending."""
    position = 0
    for offset, length in sorted(extents):
        if offset > position:
            yield position, min(offset, size) - position
        position = max(position, offset + length)
        if position >= size:
            return
    if position < size:
        yield position, size - position


def _unopenable(path: Path, error: OSError | ValueError) -> CheckpointError:
    code = error.errno if isinstance(error, OSError) else errno.ENOENT
    if code in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return CheckpointNotFoundError(path, "no such file; check the path")
    if code in (errno.EACCES, errno.EPERM):
        return CheckpointError(path, "permission denied; make it readable for this user")
    return CheckpointError(path, f"cannot be opened: {error}")
