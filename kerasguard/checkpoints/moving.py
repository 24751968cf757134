"""Checkpoints copied and moved as what they are: with manifest, companion, shards and parts."""

from __future__ import annotations

import os
from pathlib import Path

from kerasguard.arguments import check_path
from kerasguard.checkpoints import inspect
from kerasguard.errors import OutputError
from kerasguard.formats import parts_of, recognised
from kerasguard.storage import relocation, sidecar

__all__ = ["copy", "move"]

Local = str | os.PathLike[str]


def copy(source: Local, target: Local) -> Path:
    """Copy a checkpoint with all that belongs to it; its times stay, nothing is written over.

    Args:
        source: a file, a folder, or the prefix of a TensorFlow checkpoint.
        target: the new path, or a folder that exists, to put it into under its own name.

    Returns:
        The new path.

    Raises:
        CheckpointError: there is no checkpoint at `source`.
        OutputError: `source` is a manifest; something lies at the new place; or the checkpoint's
            parts cannot go by another name.
    """
    return relocation.copy(*_places(source, target))


def move(source: Local, target: Local) -> Path:
    """As `copy`; the original is deleted when the copy is complete."""
    return relocation.move(*_places(source, target))


def _places(source: Local, target: Local) -> tuple[Path, Path, set[str]]:
    check_path("source", source)
    check_path("target", target)
    place = Path(source)
    if place.name.endswith(sidecar.SUFFIX):
        checkpoint = place.name.removesuffix(sidecar.SUFFIX)
        raise OutputError(
            place,
            f"is the manifest of {checkpoint}, which is not verified without it; name the "
            "checkpoint, and its manifest goes along",
        )
    if recognised(place) is None and not os.path.lexists(place):
        inspect.inspect(place)  # raises, and says what is there instead
    siblings = os.listdir(place.parent)  # noqa: PTH208  # names of any encoding
    return place, Path(target), parts_of(place.name, siblings)
