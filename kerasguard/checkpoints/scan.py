"""Every checkpoint below a folder: what it is, whether it was recorded, whether it is intact."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from kerasguard.arguments import check_flag, check_path
from kerasguard.blueprint.references import Doubt, doubts
from kerasguard.checkpoints import inspect
from kerasguard.errors import KerasguardError, UnknownFormatError
from kerasguard.formats import candidates, open_checkpoint, recognised
from kerasguard.storage import sidecar
from kerasguard.storage.pair import undisturbed

__all__ = ["Found", "scan"]

State = Literal["hostile", "refused", "intact", "differs", "unrecorded", "recorded", "unreadable"]

# What only a caller can stand for, so that a load says what to supply.
_SUPPLIED = ("class", "function")


@dataclass(frozen=True, slots=True)
class Found:
    """One checkpoint.

    Args:
        path: of the checkpoint, below the folder that was scanned.
        format: `keras_zip`, ...
        state: `hostile` where it names what would act on the machine; `refused` where it holds
            bytecode, a program or the path of a file; else `intact` (as recorded), `differs`,
            `unrecorded`, `unreadable`, or `recorded` where a manifest is there and nothing was
            compared with it.
        detail: how many places differ, or why it cannot be read or is refused.
        needs: classes and functions that loading it takes from the caller, each with its reason.
    """

    path: str
    format: str
    state: State
    detail: str = ""
    needs: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `needs` where there is something."""
        data = asdict(self)
        return data if self.needs else {k: v for k, v in data.items() if k != "needs"}


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
        doubts = list(_doubts(place))
    except (KerasguardError, OSError):
        doubts = []  # why it cannot be read is said below
    needs = tuple(dict.fromkeys(d.message for d in doubts if d.reason in _SUPPLIED))
    for state, reasons in (("hostile", ("hostile",)), ("refused", ("bytecode", "program", "path"))):
        told = [f"{d.owner}: {d.message}" for d in doubts if d.reason in reasons]
        if told:
            return Found(str(place), kind, cast("State", state), "; ".join(told[:3]), needs)
    return replace(_compared(place, kind, verify=verify), needs=needs)


def _doubts(place: Path) -> Iterator[Doubt]:
    """What loading a checkpoint, with the optimizer that it was compiled with, would refuse."""
    with undisturbed(place):
        manifest, checkpoint = sidecar.read(place), open_checkpoint(place)
    with checkpoint:
        stored = checkpoint.architecture() or (manifest.architecture if manifest else None)
        yield from doubts(stored)
        yield from doubts(checkpoint.layer_configs())


def _compared(place: Path, kind: str, *, verify: bool) -> Found:
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
