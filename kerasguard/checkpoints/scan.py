"""Every checkpoint below a folder: what it is, whether it was recorded, whether it is intact."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from kerasguard.arguments import check_flag, check_path
from kerasguard.checkpoints import inspect
from kerasguard.errors import KerasguardError, UnknownFormatError
from kerasguard.formats import candidates, recognised
from kerasguard.storage import sidecar

__all__ = ["Found", "scan"]

State = Literal["intact", "differs", "unrecorded", "recorded", "unreadable"]


@dataclass(frozen=True, slots=True)
class Found:
    """One checkpoint.

    Args:
        path: of the checkpoint, below the folder that was scanned.
        format: `keras_zip`, ...
        state: `intact` (as recorded), `differs`, `unrecorded`, `unreadable`; `recorded` where a
            manifest is there and nothing was compared with it.
        detail: how many places differ, or why it cannot be read.
    """

    path: str
    format: str
    state: State
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def scan(folder: str | os.PathLike[str], *, verify: bool = True) -> Iterator[Found]:
    """Find checkpoints by their content; imports no framework.

    Args:
        folder: to look in, and in everything below; symbolic links are not followed.
        verify: read every byte of those that have a manifest; else only tell that there is one.

    Returns:
        Each checkpoint in the order of its path, as it is found.

    Raises:
        ArgumentError: an argument is not understood.
        NotADirectoryError: `folder` is none.
    """
    check_path("folder", folder)
    check_flag("verify", verify)
    root = Path(folder)
    if not root.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder; name one to look for checkpoints in")
    return (_found(place, kind, verify=verify) for place, kind in _candidates(root))


def _candidates(root: Path) -> Iterator[tuple[Path, str]]:
    for here, folders, names in os.walk(root):
        place = Path(here)
        kind = recognised(place)
        if kind is not None and kind.traits.folder:
            folders.clear()
            yield place, kind.name
            continue
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in candidates(names):
            if kind := recognised(place / name):
                yield place / name, kind.name


def _found(place: Path, kind: str, *, verify: bool) -> Found:
    try:
        if sidecar.read(place) is None:
            inspect.inspect(place)  # that it can be read is part of the answer
            return Found(str(place), kind, "unrecorded")
        if not verify:
            return Found(str(place), kind, "recorded")
        report = inspect.verify(place)
    except UnknownFormatError:
        return Found(str(place), kind, "unreadable", "changed while it was looked at")
    except (KerasguardError, OSError) as error:
        return Found(str(place), kind, "unreadable", str(error))
    if report.ok:
        return Found(str(place), kind, "intact")
    return Found(str(place), kind, "differs", f"in {len(report.unresolved)} places")
