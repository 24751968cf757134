"""Where a save is written before it is committed, and what it is moved from there."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kerasguard.storage import durable, owners, sidecar

__all__ = ["Room", "room_for"]

# A folder that holds one of these is an earlier save; any other is left where it is.
_DIRECTORY_MARKS = ("config.json", "saved_model.pb")


@dataclass(frozen=True, slots=True)
class Room:
    """Where a save is staged.

    Args:
        folder: the staging folder, with a folder `new` in it; None to write in place.
        reason: why in place; empty where staged.
        over: why the target is written over with what was staged; empty where it is renamed to.
        claim: to the folder.
    """

    folder: Path | None
    reason: str = ""
    over: str = ""
    claim: owners.Claim | None = None


def room_for(given: Path, target: Path) -> Room:
    """Make a staging folder for a save, after what interrupted ones have left is cleared away.

    It is beside the target; elsewhere only where the folder takes nothing new and a checkpoint
    is there that could be lost.

    Args:
        given: the path as the caller knows it.
        target: the same without symbolic links.

    Raises:
        OSError: a checkpoint lies there, and the disk has no room to save another beside it.
    """
    reason = _obstacle(given, target)
    if reason:
        return Room(None, reason)
    sidecar.clear_abandoned(target)
    claim = owners.Claim(sidecar.staging_prefix(target.name))
    folder = target.with_name(claim.name)
    try:
        _make(folder, given.name, target)
    except OSError as error:
        problem = f"no folder can be made beside it ({error.strerror})"
        if not target.exists():
            return Room(None, problem)
        if error.errno not in durable.FORBIDDEN:
            raise
        folder = Path(tempfile.gettempdir(), folder.name)
        _make(folder, given.name, target)
        return Room(folder, over=problem, claim=claim)
    return Room(folder, over=_not_renamed_to(target), claim=claim)


def _make(folder: Path, name: str, target: Path) -> None:
    try:
        folder.mkdir()
        (folder / "new").mkdir()
        if target.is_dir():  # a file is refused here as it would be there
            (folder / "new" / name).mkdir()
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _obstacle(given: Path, target: Path) -> str:
    """Why a save to `given` cannot be staged; empty where it can."""
    if not given.name or given.name == "..":
        return "it has no name of its own"
    if not target.parent.is_dir():
        return "its folder does not exist"
    if not target.exists():
        return ""
    if not os.access(target, os.W_OK):
        return "it is not writable"
    if target.is_file():
        return "it is a link" if given.is_symlink() and given.suffix == ".json" else ""
    if not target.is_dir():
        return "it is neither a file nor a directory"
    marked = any((target / mark).exists() for mark in _DIRECTORY_MARKS)
    return "" if marked or not any(target.iterdir()) else "it holds no earlier checkpoint"


def _not_renamed_to(target: Path) -> str:
    """Why a folder is written over instead of exchanged; empty where it is not."""
    if os.path.ismount(target):
        return "it is a mount point"
    inside = target in (here := Path.cwd(), *here.parents)
    return "it is the process's working directory" if inside else ""
