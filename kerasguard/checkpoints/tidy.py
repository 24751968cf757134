"""What kerasguard wrote and nothing needs any more: found, and on request paired or removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kerasguard.arguments import check_flag, check_path
from kerasguard.checkpoints.scan import places
from kerasguard.errors import ManifestError
from kerasguard.manifest import Manifest
from kerasguard.storage import companion, durable, owners, relocation, sidecar

__all__ = ["Leftover", "tidy"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder of kerasguard's that belongs to no checkpoint where it lies.

    Args:
        path: of the file or folder.
        kind: `manifest` or `companion` without its checkpoint; `staging`, of a save or deletion
            that was killed.
        belongs_to: the unrecorded checkpoint that has the bytes which the manifest describes: it
            was renamed or moved without it. Empty where there is none.
        state: `found`, `removed`, or `paired` with `belongs_to`.
    """

    path: str
    kind: Literal["manifest", "companion", "staging"]
    belongs_to: str = ""
    state: Literal["found", "removed", "paired"] = "found"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        names = ("path", "kind", "belongs_to", "state")
        return {name: getattr(self, name) for name in names}


def tidy(
    folder: str | os.PathLike[str], *, pair: bool = False, remove: bool = False
) -> list[Leftover]:
    """Find what deleted, renamed and half-deleted checkpoints have left below a folder.

    Only what kerasguard wrote is looked at: manifests that are what they were written as,
    companions by their names, and the hidden folders of saves whose process is gone. What lies
    below hidden folders is left alone.

    Args:
        folder: to look in.
        pair: put a manifest, and its companion, beside the checkpoint whose bytes it describes.
        remove: delete what belongs to nothing; what could be paired is kept.

    Raises:
        NotADirectoryError: `folder` is none.
    """
    check_path("folder", folder)
    check_flag("pair", pair)
    check_flag("remove", remove)
    root = Path(folder)
    if not durable.is_folder(root):
        raise NotADirectoryError(f"{folder}: no such folder; name one to tidy")
    known = [place for place, _ in places(root)]
    unrecorded = [p for p in known if not os.path.lexists(sidecar.place_of(p))]
    found: list[Leftover] = []
    for here in _folders(root, known):
        found += _of(here, unrecorded, pair=pair, remove=remove)
    return found


def _folders(root: Path, known: Iterable[Path]) -> Iterator[Path]:
    """The folders that are not checkpoints, and not hidden."""
    wholes = {place for place in known if place.is_dir()}
    for name, folders, _ in os.walk(root):
        here = Path(name)
        folders[:] = sorted(f for f in folders if f[0] != "." and here / f not in wholes)
        if here not in wholes:
            yield here


def _of(here: Path, unrecorded: list[Path], *, pair: bool, remove: bool) -> Iterator[Leftover]:
    names = sorted(path.name for path in here.iterdir())
    described = [n.removesuffix(sidecar.SUFFIX) for n in names if n.endswith(sidecar.SUFFIX)]
    for name in described:
        path = here / f"{name}{sidecar.SUFFIX}"
        if name not in names and (manifest := _manifest(path)) and not _lies_there(path, manifest):
            yield _without_checkpoint(path, manifest, unrecorded, pair=pair, remove=remove)
    for name in _stray(here, names, described):
        if os.path.lexists(here / name):
            yield Leftover(str(here / name), "companion", state=_removed(here / name, remove))
    for name in names:
        if name.startswith(".") and owners.is_abandoned(here / name):
            yield Leftover(str(here / name), "staging", state=_removed(here / name, remove))


def _without_checkpoint(
    path: Path, manifest: Manifest, unrecorded: list[Path], *, pair: bool, remove: bool
) -> Leftover:
    other = next((place for place in unrecorded if sidecar.describes(manifest, place)), None)
    if other is None:
        return Leftover(str(path), "manifest", state=_removed(path, remove))
    if not pair:
        return Leftover(str(path), "manifest", str(other))
    checkpoint = path.with_name(path.name.removesuffix(sidecar.SUFFIX))
    relocation.carry(checkpoint, other, manifest)
    companion.retire(checkpoint, None)
    path.unlink()
    unrecorded.remove(other)
    return Leftover(str(path), "manifest", str(other), "paired")


def _stray(here: Path, names: list[str], described: list[str]) -> list[str]:
    """Companions of no checkpoint that has a manifest here, and named by none of these."""
    stray = [
        name
        for name in names
        if companion.is_companion(name) and not any(companion.belongs(name, d) for d in described)
    ]
    if not stray:
        return []
    manifests = (_manifest(here / f"{name}{sidecar.SUFFIX}") for name in described)
    named = {m.companion.name for m in manifests if m is not None and m.companion is not None}
    return [name for name in stray if name not in named]


def _manifest(path: Path) -> Manifest | None:
    """A manifest that kerasguard wrote; None for every other file."""
    if not path.name.endswith(sidecar.SUFFIX) or path.is_symlink() or not path.is_file():
        return None
    try:
        return sidecar.parse(path)
    except ManifestError:
        return None


def _lies_there(path: Path, manifest: Manifest) -> bool:
    """Whether any part of a manifest's checkpoint, which may be a prefix, lies where it should."""
    checkpoint = path.with_name(path.name.removesuffix(sidecar.SUFFIX))
    return any(os.path.lexists(place) for place in sidecar.located(manifest, checkpoint).values())


def _removed(path: Path, remove: bool) -> Literal["found", "removed"]:
    if not remove:
        return "found"
    with durable.locked(path.parent):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return "removed"
