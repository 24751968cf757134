"""What `commit` needs of the file system: flush, lock, exchange, and whose folder is whose.

Nothing here knows a checkpoint or a manifest.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "exchange",
    "is_abandoned",
    "link",
    "locked",
    "put",
    "rename_in",
    "signature",
    "staging_name",
    "sync",
    "sync_tree",
    "token_of",
    "write_durably",
]

_NAME = re.compile(
    r"\.kg-(?P<pid>\d+)-(?P<here>[0-9a-f]{8})(?P<born>[0-9a-f]{4})(?P<token>[0-9a-f]{8})$"
)
_ABANDONED_AFTER = 24 * 3600.0  # seconds; for what another machine or container left behind
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


def write_durably(path: Path, content: str | bytes) -> None:
    """Create a file that was not there, and flush it; text as UTF-8."""
    with path.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Exclude every other process and thread that locks `folder`; no lock file is left.

    On a file system without locks the block runs unprotected.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        yield
    finally:
        os.close(descriptor)


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


def rename_in(error: BaseException, names: Mapping[Path, Path]) -> None:
    """Let an exception speak of the paths that the caller knows."""

    def renamed(value: Any) -> Any:
        for staging, given in names.items() if isinstance(value, (str, os.PathLike)) else ():
            value = os.fspath(value).replace(str(staging), str(given))
        return value

    error.args = tuple(map(renamed, error.args))
    for name in ("filename", "filename2"):
        if isinstance(error, OSError) and getattr(error, name) is not None:
            setattr(error, name, renamed(getattr(error, name)))


def staging_name(prefix: str) -> str:
    """A new name that tells which process it belongs to: `<prefix><pid>-<random>`.

    In front of the random digits stand a few that depend on the machine and on when the process
    began. Were they in a file, a process killed before it is written would leave a riddle.
    """
    pid = os.getpid()
    return f"{prefix}{pid}-{_here()}{_born(pid)}{os.urandom(4).hex()}"


def is_abandoned(path: Path) -> bool:
    """Whether the process that made `path`, under a `staging_name`, is gone.

    Only a process of this machine (and container) can be asked for; what others left counts as
    abandoned a day after its last change.
    """
    match = _NAME.search(path.name)
    if match is None:
        return False
    if match["here"] == _here():
        return match["born"] != _born(int(match["pid"]))
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_AFTER
    except OSError:
        return False  # gone meanwhile


def token_of(path: Path) -> str:
    """The random part of a `staging_name`; empty for any other name."""
    match = _NAME.search(path.name)
    return match["token"] if match else ""


@functools.lru_cache(maxsize=1)
def _here() -> str:
    """This boot of this machine, and the container whose process numbers are valid."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return _digits(f"{boot}{Path('/proc/self/ns/pid').stat().st_ino}", 8)
    except OSError:
        import uuid

        return _digits(f"{uuid.getnode()}", 8)


def _born(pid: int) -> str:
    """When a process started, so that a number given anew is told apart; empty if it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = status.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else _digits(fields[19], 4)
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return _digits("", 4)


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]
