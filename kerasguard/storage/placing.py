"""Putting what was staged into its place: renamed, exchanged, linked, or copied over.

A directory is exchanged with the old one in one call. What cannot be renamed to is written over
with the bytes that were staged. Nothing here knows a checkpoint or a manifest.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from kerasguard.storage.durable import FORBIDDEN, UNSUPPORTED

__all__ = ["copy_over", "exchange", "link", "move", "overwrite", "put"]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_NOT_RENAMED = (*FORBIDDEN, errno.EBUSY, errno.EXDEV, errno.ETXTBSY)


def put(source: Path, target: Path, aside: Path, over: str = "") -> str:
    """Move `source` to `target`, in the place of what lies there, or copy it over that.

    Args:
        source: a file or folder.
        target: where it belongs.
        aside: where the old directory may be left, if two cannot be exchanged.
        over: why nothing can be renamed to `target`; empty where that is not known to be so.

    Returns:
        Why it was copied over what lay there, so that a crash would have lost that; else empty.

    Raises:
        OSError: neither is possible.
    """
    if not over:
        try:
            move(source, target, aside)
            return ""
        except OSError as error:
            if error.errno not in _NOT_RENAMED or not target.exists():
                raise
            over = f"it cannot be renamed to ({error.strerror})"
    copy_over(source, target)
    return over


def move(source: Path, target: Path, aside: Path) -> None:
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
    if number in UNSUPPORTED:
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


def _end(file: BinaryIO) -> None:
    file.truncate()
    file.flush()
    os.fsync(file.fileno())


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
