"""What a save needs of the file system: flush, lock, names, and whether something has changed.

Nothing here knows a checkpoint or a manifest.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "FORBIDDEN",
    "UNSUPPORTED",
    "identity",
    "is_folder",
    "locked",
    "name_beside",
    "rename_in",
    "signature",
    "sync",
    "sync_tree",
    "write_durably",
]

_LONGEST = 255  # bytes of a name
_PATIENCE, _PAUSE = 30.0, 0.001  # seconds
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.ENOLCK, errno.EBADF)
"""What a file system answers that does not have the call at all."""
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
"""What it answers where the folder, not the disk, is why nothing can be made in it or renamed."""


def sync(path: Path) -> None:
    """Flush a file's bytes or a folder's names; a file system that cannot is left alone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
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


def is_folder(path: Path) -> bool:
    """Whether a folder lies there; no name that no file could have is one."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


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
            if error.errno not in UNSUPPORTED:
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
