"""The newest checkpoint of a run that can be trusted, and at which epoch `fit` goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kerasguard.arguments import check_flag, check_path
from kerasguard.checkpoints import inspect
from kerasguard.checkpoints.epochs import told_epoch
from kerasguard.checkpoints.scan import places
from kerasguard.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    KerasguardError,
    ManifestMissingError,
)
from kerasguard.formats import FORMATS, met, open_checkpoint
from kerasguard.manifest import Manifest
from kerasguard.storage import durable, sidecar
from kerasguard.storage.remote import local_path
from kerasguard.storage.written import index_of

__all__ = ["Latest", "PassedOver", "latest"]

_SUFFIXES = tuple(suffix for kind in FORMATS for suffix in kind.traits.suffixes)
_LISTED = 12


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A newer checkpoint that was not taken.

    Args:
        path: of the checkpoint.
        state: `differs` from what was recorded, `unreadable`, or `unrecorded`.
        why: what is wrong with it.
    """

    path: str
    state: Literal["differs", "unreadable", "unrecorded"]
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True)
class Latest:
    """The newest checkpoint that verifies; a path, for everything that takes one.

    Args:
        path: of the checkpoint.
        format: `keras_zip`, ...
        recorded: whether a manifest vouches for it.
        initial_epoch: what `Model.fit` takes to go on behind it; None where nothing tells.
        told_by: what tells `initial_epoch`, or why nothing does.
        passed_over: newer ones, newest first, each with the reason.
        manifest: that it agrees with; None where nobody recorded it.
    """

    path: Path
    format: str
    recorded: bool
    initial_epoch: int | None
    told_by: str
    passed_over: tuple[PassedOver, ...]
    manifest: Manifest | None = None

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        epoch = "unknown" if self.initial_epoch is None else self.initial_epoch
        lines = [f"{self.path}: {self.format}, initial_epoch {epoch} ({self.told_by})"]
        return "\n".join([*lines, *(f"  passed over {one}" for one in self.passed_over)])

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without the manifest."""
        return {
            "path": str(self.path),
            "format": self.format,
            "recorded": self.recorded,
            "initial_epoch": self.initial_epoch,
            "told_by": self.told_by,
            "passed_over": [
                {"path": one.path, "state": one.state, "why": one.why} for one in self.passed_over
            ],
        }


def latest(folder: str | os.PathLike[str], *, unrecorded: bool = False) -> Latest:
    """Find the newest checkpoint that verifies; imports no framework.

    It considers what `ModelCheckpoint`, `BackupAndRestore` and others left below `folder`, in every
    format. The newest checkpoint is the one written last by file time; among equal times, the one
    with the higher number in its name. Every byte is compared with the manifest, newest first,
    until one agrees; older ones are not opened.

    Args:
        folder: to look in, and in everything below that is not hidden.
        unrecorded: also accept unrecorded checkpoints that can be read and whose own checksums,
            where the format has some, agree. By default they are passed over: nothing shows whether
            they are what was saved.

    Raises:
        ArgumentError: an argument is not understood.
        NotADirectoryError: `folder` is none.
        CheckpointNotFoundError: there is no checkpoint in it.
        ManifestMissingError: there are checkpoints, but none has a manifest.
        CheckpointError: none verifies; the message lists why.

    Example:
        >>> found = kerasguard.latest("run")  # doctest: +SKIP
        >>> model = kerasguard.load(found)  # doctest: +SKIP
        >>> model.fit(x, y, epochs=20, initial_epoch=found.initial_epoch)  # doctest: +SKIP
    """
    check_path("folder", folder)
    check_flag("unrecorded", unrecorded)
    root = local_path(folder)
    if not durable.is_folder(root):
        raise NotADirectoryError(f"{folder}: no such folder; name one to look for checkpoints in")
    passed: list[PassedOver] = []
    for place in _newest_first(root):
        found = _looked_at(place, unrecorded=unrecorded)
        if isinstance(found, PassedOver):
            passed.append(found)
        elif found is not None:
            kind, manifest = found
            epoch, told_by = told_epoch(place, manifest)
            recorded = manifest is not None
            return Latest(place, kind, recorded, epoch, told_by, tuple(passed), manifest)
    raise _none(folder, passed)


def _newest_first(root: Path) -> list[Path]:
    # The manifest's time tells when somebody recorded it, which may be much later.
    return sorted((place for place, _ in places(root)), key=_age, reverse=True)


def _age(place: Path) -> tuple[int, list[int], str]:
    """Sorts by time; equal times, as copies have, by the numbers in the name."""
    told = durable.signature(place) or durable.signature(index_of(place))
    return told[2] if told else 0, [int(n) for n in re.findall(r"\d+", place.name)], str(place)


def _looked_at(place: Path, *, unrecorded: bool) -> tuple[str, Manifest | None] | PassedOver | None:
    """Format and manifest of one that verifies, or why it does not; None for foreign files."""
    kind = met(place)
    try:
        manifest = sidecar.read(place)
        if kind is None and manifest is None and not place.name.endswith(_SUFFIXES):
            return None
        if manifest is None and kind is not None and not unrecorded:
            with open_checkpoint(place) as checkpoint:
                checkpoint.table()  # one that cannot even be read is told as such
            why = "it has no manifest, so nothing shows whether it is what was saved"
            return PassedOver(str(place), "unrecorded", why)
        report = inspect.verify(place)
    except (KerasguardError, OSError) as error:
        return PassedOver(str(place), "unreadable", _shortened(error, place))
    if report.ok:
        return report.format, manifest
    return PassedOver(str(place), "differs", "; ".join(_reasons(report.unresolved)))


def _reasons(findings: tuple[Any, ...]) -> Iterator[str]:
    yield from map(str, findings[:2])
    if len(findings) > 2:
        yield f"and {len(findings) - 2} more"


def _shortened(error: Exception, place: Path) -> str:
    """What an error says, without the path that it begins with."""
    return str(error).removeprefix(f"{place}: ")


def _none(folder: str | os.PathLike[str], passed: list[PassedOver]) -> KerasguardError:
    if not passed:
        return CheckpointNotFoundError(folder, "there is no checkpoint in it or below it")
    lines = [f"  {one}" for one in passed[:_LISTED]]
    if len(passed) > _LISTED:
        lines.append(f"  and {len(passed) - _LISTED} more")
    if all(one.state == "unrecorded" for one in passed):
        names = "\n".join(f"  {one.path}" for one in passed[:_LISTED])
        return ManifestMissingError(
            f"none of its {len(passed)} checkpoints has a manifest; to take the newest that can be "
            f"read: unrecorded=True (--unrecorded). Newest first:\n{names}",
            path=folder,
        )
    what = f"none of its {len(passed)} checkpoints verifies; newest first:\n"
    return CheckpointError(folder, what + "\n".join(lines))
