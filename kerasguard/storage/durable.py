"""What `commit` needs of the file system: flush, lock, exchange, copy.

Nothing here knows a checkpoint or a manifest.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    "copy_over",
    "exchange",
    "identity",
    "link",
    "locked",
    "name_beside",
    "overwrite",
    "put",
    "rename_in",
    "signature",
    "signatures",
    "sync",
    "sync_tree",
    "write_durably",
]

_LONGEST = 255  # bytes of a name
_PATIENCE, _PAUSE = 30.0, 0.001  # seconds
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
# What a file system answers that does not have the call at all.
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.ENOLCK, errno.EBADF)


def sync(path: Path) -> None:
    """Flush a file's bytes or a folder's names; a file system that cannot is left alone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush every file below `folder`, then the folders, innermost first."""
    for inner, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(inner, name)
            if stat.S_ISREG(path.lstat().st_mode):
                sync(path)
        sync(Path(inner))


def signature(path: Path) -> tuple[int, ...] | None:
    """Changes when a file, or one of a directory's entries, is written; None without either."""
    try:
        status = path.stat()
        entries = [e.stat().st_mtime_ns for e in path.iterdir()] if path.is_dir() else []
    except OSError:
        return None
    return status.st_ino, status.st_size, max([status.st_mtime_ns, *entries])


def identity(path: Path) -> tuple[int, int]:
    """What a file or folder keeps when it is renamed, and no other has meanwhile."""
    status = path.stat()
    return status.st_dev, status.st_ino


def name_beside(name: str, suffix: str) -> str:
    """`name + suffix`, or where no file system takes so long a name, its start and a digest."""
    room, whole = _LONGEST - len(suffix), os.fsencode(name)
    if len(whole) <= room:
        return name + suffix
    start = whole[: room - 17].decode("utf-8", "ignore")
    return f"{start}~{hashlib.sha256(whole).hexdigest()[:16]}{suffix}"


def write_durably(path: Path, content: str | bytes) -> None:
    """Create a file that was not there, and flush it; text as UTF-8."""
    with path.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Take turns with every other process and thread that locks `folder`; no lock file is left.

    On a file system without locks the block runs unprotected, and so it does once somebody has
    kept the folder locked for longer than any commit takes.

    Args:
        folder: of the files.
        shared: with others who only read.
    """
    lock = _Lock()
    try:
        # It may be used and not be read; and whoever looks for a file there finds that it is gone.
        with contextlib.suppress(PermissionError, FileNotFoundError, NotADirectoryError):
            lock.take(folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        lock.release()


class _Lock:
    """A descriptor with a lock on it; an interrupt that keeps it from being released frees it."""

    _descriptor = -1

    def take(self, folder: Path, kind: int) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY)
        end = time.monotonic() + _PATIENCE
        while not self._try(kind) and time.monotonic() < end:
            time.sleep(_PAUSE)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        return True

    def release(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()


def put(source: Path, target: Path, aside: Path) -> None:
    """Move `source` to `target`, in the place of what lies there, with its mode and owner.

    A directory is exchanged with the one at `target` in one step; entries that only the old one
    holds are kept. Afterwards the old directory is at `source` or at `aside`.

    Raises:
        OSError: nothing was moved (or, without the exchange, the old directory is at `aside`).
    """
    if target.exists():
        _imitate(source, target)
    if not source.is_dir():
        source.replace(target)
    elif not target.is_dir():
        source.rename(target)
    else:
        _carry_over(target, source)
        if not exchange(source, target):
            target.rename(aside)
            source.rename(target)


def copy_over(source: Path, target: Path) -> None:
    """Give `target`, which stays the same file or folder, the content of `source`; flushed."""
    if source.is_dir():
        if not target.is_dir():
            target.mkdir()
        for entry in sorted(source.iterdir()):
            copy_over(entry, target / entry.name)
        return
    with source.open("rb") as new, target.open("r+b" if target.exists() else "xb") as old:
        shutil.copyfileobj(new, old, 1 << 20)
        _end(old)


def overwrite(target: Path, content: bytes) -> None:
    """Give a file that is there other content, in place; flushed."""
    with target.open("r+b") as file:
        file.write(content)
        _end(file)


def _end(file: BinaryIO) -> None:
    file.truncate()
    file.flush()
    os.fsync(file.fileno())


def exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step; False where the system or file system cannot."""
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def link(source: Path, target: Path) -> None:
    """Give a file a second name; a copy where the file system has no hard links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOENT, errno.ENOSPC):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _imitate(source: Path, target: Path) -> None:
    old, new = target.stat(), source.stat()
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(source, old.st_uid, old.st_gid)
    source.chmod(stat.S_IMODE(old.st_mode))


def _carry_over(old: Path, new: Path) -> None:
    """Link into `new` what only `old` holds: a save into a directory never removed anything.

    What both hold belongs to the save; of a folder (`assets`) nothing older is mixed in.
    """
    with os.scandir(old) as entries:
        for entry in entries:
            twin = new / entry.name
            if os.path.lexists(twin):
                continue
            if entry.is_dir(follow_symlinks=False):
                twin.mkdir()
                shutil.copystat(entry.path, twin)
                _carry_over(Path(entry.path), twin)
            else:
                link(Path(entry.path), twin)


def rename_in(error: BaseException, names: Mapping[Path, Path | str]) -> None:
    """Let an exception speak of the paths that the caller knows."""

    def renamed(value: Any) -> Any:
        for staging, given in names.items() if isinstance(value, (str, os.PathLike)) else ():
            value = os.fspath(value).replace(str(staging), str(given))
        return value

    error.args = tuple(map(renamed, error.args))
    for name in ("filename", "filename2"):
        if isinstance(error, OSError) and getattr(error, name) is not None:
            setattr(error, name, renamed(getattr(error, name)))


def signatures(path: Path) -> tuple[object, ...]:
    """What tells whether a save to `path` has written anything there, under any of its names."""
    listing = path.with_suffix(".json")  # written instead where Keras is asked to shard
    index = Path(f"{path}.index")  # and of a checkpoint of TensorFlow's
    return tuple(map(signature, (path, listing, index)))
