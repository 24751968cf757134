"""Manifests for the checkpoints that a run has left without any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kerasguard.arguments import check_path
from kerasguard.checkpoints import inspect
from kerasguard.checkpoints.scan import places
from kerasguard.errors import CheckpointNotFoundError, KerasguardError
from kerasguard.formats import met, recognised
from kerasguard.recorder.recording import record
from kerasguard.storage import sidecar

__all__ = ["Adopted", "adopt"]


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of one checkpoint.

    Args:
        path: of the checkpoint.
        state: `recorded` just now; `unrecorded`, where nothing should be written; `kept`, where
            there was a manifest already; `unreadable`.
        detail: what it is, or why it cannot be read.
    """

    path: str
    state: Literal["recorded", "unrecorded", "kept", "unreadable"]
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"path": self.path, "state": self.state, "detail": self.detail}


def adopt(path: str | os.PathLike[str], *, dry_run: bool = False) -> Iterator[Adopted]:
    """Record a checkpoint, or all below a folder, that nobody has recorded; no model is needed.

    A manifest that is there is never replaced, whatever it says. One that is made now proves what
    the checkpoint holds now: damage from before is recorded with it.

    Args:
        path: a checkpoint, or a folder to look in.
        dry_run: tell what would be recorded, and write nothing.

    Raises:
        ArgumentError: `path` names no file.
        CheckpointNotFoundError: there is nothing.
    """
    check_path("path", path)
    place = Path(path)
    kind = recognised(place)
    if kind is not None and (kind.traits.folder or not place.is_dir()):
        yield _adopted(place, dry_run=dry_run)
        return
    if not place.is_dir():
        inspect.inspect(place)  # raises, and says what it is instead
        raise CheckpointNotFoundError(place, "no such file; check the path")
    for found, _ in places(place):
        if met(found) is not None:
            yield _adopted(found, dry_run=dry_run)


def _adopted(place: Path, *, dry_run: bool) -> Adopted:
    try:
        if os.path.lexists(sidecar.place_of(place)) or sidecar.read(place) is not None:
            return Adopted(str(place), "kept", "has a manifest")
        told = inspect.inspect(place) if dry_run else record(place)
    except (KerasguardError, OSError) as error:
        return Adopted(str(place), "unreadable", str(error).removeprefix(f"{place}: "))
    what = f"{told.format}, {len(told.table.tensors)} tensors"
    return Adopted(str(place), "unrecorded" if dry_run else "recorded", what)
