"""Behind how many epochs of training a checkpoint was saved, as far as something tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kerasguard.formats import candidates
from kerasguard.manifest import Manifest
from kerasguard.storage.strict_json import strict_json

__all__ = ["told_epoch"]

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NAMED = re.compile(r"(?:^|[^a-z])(?:epochs?|ep)[-_=. ]?(\d+)(?!\.?\d)", re.IGNORECASE)
# Numbers behind these count something else.
_NO_EPOCH = re.compile(
    r"(?:steps?|iter(?:ation)?s?|batch(?:es)?|ckpt|fold|v)[-_=. ]?$", re.IGNORECASE
)
_METADATA = "training_metadata.json"
_BACKUP = ("latest.weights.h5", "latest.weights.h5.bkp")


def told_epoch(place: Path, manifest: Manifest | None) -> tuple[int | None, str]:
    """The `initial_epoch` that goes on behind a checkpoint, and what tells it.

    Args:
        place: of the checkpoint.
        manifest: its own; the epoch in it, counted from 0, counts first, where a callback
            recorded one. Else the file's name, where exactly one number in it can be an epoch;
            else the metadata of Keras' `BackupAndRestore`.

    Returns:
        None, and why, where nothing tells.
    """
    training = manifest.training if manifest is not None else {}
    epoch = training.get("epoch")
    if isinstance(epoch, int) and epoch >= 0:
        if training.get("complete") is False:
            return epoch, f"manifest: saved during epoch {epoch}, which starts over"
        return epoch + 1, f"manifest: saved at the end of epoch {epoch}, counted from 0"
    if place.name in _BACKUP:
        return _backed_up(place)
    return _named(place)


def _backed_up(place: Path) -> tuple[int | None, str]:
    name = _METADATA + place.name.removeprefix(_BACKUP[0])
    try:
        told = strict_json(place.with_name(name).read_bytes())
        epoch = told["epoch"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"no {name} of BackupAndRestore gives the epoch"
    if type(epoch) is not int or epoch < 0:
        return None, f"{name} of BackupAndRestore holds no epoch number"
    return epoch, f"{name} of BackupAndRestore"


def _named(place: Path) -> tuple[int | None, str]:
    """By the name: `ModelCheckpoint` counts the epochs in names from 1."""
    stem = _stem(place.name)
    others = list(_siblings(place)) if place.exists() else [stem]
    for known in (_after_the_word, _alone, _varying):
        if (number := known(stem, others)) is not None:
            first = 0 if any(known(other, others) == 0 for other in others) else 1
            return number + 1 - first, f"name: epoch {number}, counted from {first}"
    return None, "neither a manifest nor the name gives the epoch"


def _after_the_word(stem: str, _: list[str]) -> int | None:
    """`epoch-07` or `ep7`, once in the name."""
    found = _NAMED.findall(stem)
    return int(found[0]) if len(found) == 1 else None


def _alone(stem: str, _: list[str]) -> int | None:
    """A name that is nothing but a number."""
    return int(stem) if stem.isascii() and stem.isdecimal() else None


def _varying(stem: str, others: list[str]) -> int | None:
    """The only whole number in which names of one form differ, all of them from each other."""
    alike = [name for name in others if _NUMBER.sub("#", name) == _NUMBER.sub("#", stem)]
    columns = list(zip(*map(_NUMBER.findall, alike), strict=True))
    differing = [
        place
        for place, column in enumerate(columns)
        if all(number.isdecimal() for number in column) and len(set(column)) > 1
    ]
    if len(differing) != 1 or len(set(columns[differing[0]])) < len(alike):
        return None
    number = list(_NUMBER.finditer(stem))[differing[0]]
    return None if _NO_EPOCH.search(stem[: number.start()]) else int(number.group())


def _siblings(place: Path) -> Iterator[str]:
    """The stems of the files beside one, itself included, that end as it does."""
    ending = place.name.removeprefix(_stem(place.name))
    for name in candidates([path.name for path in place.parent.iterdir()]):
        if name.endswith(ending) and f"{_stem(name)}{ending}" == name:
            yield _stem(name)


def _stem(name: str) -> str:
    """`07-0.25.weights.h5` -> `07-0.25`."""
    return re.sub(r"(\.weights)?\.(keras|h5|hdf5|json|safetensors)$", "", name)
