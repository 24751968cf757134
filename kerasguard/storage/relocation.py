"""Copying and moving a checkpoint together with its manifest and companion.

The new place is complete before anything is taken from the old one, so a kill leaves one that
verifies; the checkpoint appears there in one step, and its times stay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from kerasguard.errors import CheckpointNotFoundError, OutputError
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import companion, durable, owners, placing, removal, sidecar
from kerasguard.tensors import TensorRecord

__all__ = ["carry", "copy", "move"]


def carry(source: Path, target: Path, manifest: Manifest | None = None) -> None:
    """Give a copy of a checkpoint's file the manifest and the companion of the original.

    What described the file that lay at `target` before is taken away.

    Args:
        source: the original, which need no longer be there.
        target: the copy.
        manifest: of the original; default: the one that lies beside it.

    Raises:
        OSError: nothing can be written there.
    """
    manifest = manifest or sidecar.read(source)
    with durable.locked(target.parent):
        kept = None
        if manifest is not None and manifest.companion is not None:
            kept = _copied(companion.located(source, manifest.companion.name), target)
        if manifest is None:
            sidecar.place_of(target).unlink(missing_ok=True)
        else:
            sidecar.write(target, manifest)
        for path in target.parent.iterdir():
            if companion.belongs(path.name, target.name) and path != kept:
                path.unlink(missing_ok=True)


def _copied(place: Path, target: Path) -> Path | None:
    """A companion under the name that belongs to `target`; None where there is none."""
    if not place.is_file():
        return None
    copied = target.with_name(companion.renamed(place.name, target.name))
    if not copied.exists():
        placing.link(place, copied)  # a companion is replaced, never written to
    return copied


def copy(source: Path, target: Path, parts: Iterable[str], *, link: bool = False) -> Path:
    """Copy a checkpoint with all that belongs to it; nothing is ever written over.

    Args:
        source: a file, a folder, or the prefix of a TensorFlow checkpoint.
        target: the new path, or a folder to copy it into under its own name.
        parts: names of the files beside `source` that are parts of it.
        link: give the files a second name where that can be, instead of copying them.

    Returns:
        The new path.

    Raises:
        CheckpointNotFoundError: there is no checkpoint at `source`.
        OutputError: something lies at the new place, or its name is one that the parts' own names
            contradict.
        OSError: there is no room.
    """
    target = target / source.name if target.is_dir() else target
    names = _renamed(source, target, parts)
    manifest = sidecar.read(source)
    _check_free(target, names)
    with durable.locked(target.parent):
        if manifest is not None:
            if manifest.companion is not None:
                _copied(companion.located(source, manifest.companion.name), target)
            sidecar.write(target, _with_names(manifest, names, target))
        # The checkpoint itself, or what makes one of its parts, comes last.
        for old, new in sorted(names.items(), key=lambda one: (one[0] == source.name, one[0])):
            _appear(source.with_name(old), target.with_name(new), link=link)
        durable.sync(target.parent)
    return target


def move(source: Path, target: Path, parts: Iterable[str]) -> Path:
    """As `copy`, and then delete the original."""
    parts = list(parts)
    done = copy(source, target, parts, link=True)
    with durable.locked(source.parent):
        # First what makes a checkpoint of its parts: the list of shards, the index.
        order = sorted(parts, key=lambda part: not part.endswith(".index"))
        for name in (source.name, *order):
            place = source.with_name(name)
            if place.is_dir() and not place.is_symlink():
                removal.clear(place)
            else:
                place.unlink(missing_ok=True)
        companion.retire(source, None)
        sidecar.place_of(source).unlink(missing_ok=True)
    return done


def _renamed(source: Path, target: Path, parts: Iterable[str]) -> dict[str, str]:
    """New names by old ones: of the checkpoint, where it is a file or folder, and of its parts."""
    names = {source.name: target.name} if os.path.lexists(source) else {}
    own = source.name
    for part in parts:
        follows = part.startswith(f"{own}.")
        if not follows and target.name != own:
            raise OutputError(
                target,
                f"{own} lists its parts by name ({part}, ...), so it must keep its own name; "
                "pass a folder to put it into",
            )
        names[part] = target.name + part[len(own) :] if follows else part
    if not names:
        raise CheckpointNotFoundError(source, "no such checkpoint; check the path")
    return names


def _check_free(target: Path, names: Mapping[str, str]) -> None:
    if not target.parent.is_dir():
        raise OutputError(target, "its folder does not exist; create it first")
    for place in (sidecar.sidecar_path(target), *map(target.with_name, names.values())):
        if os.path.lexists(place):
            raise OutputError(place, "exists and is not overwritten; name another place")


def _with_names(manifest: Manifest, names: Mapping[str, str], target: Path) -> Manifest:
    """The manifest with the new names of the parts; of a single file it stays as it is."""
    if target.is_dir() or len(manifest.files) == 1 or all(o == n for o, n in names.items()):
        return manifest

    def record(one: TensorRecord) -> TensorRecord:
        at = one.extent
        return one if at is None else replace(one, extent=replace(at, file=_new(at.file, names)))

    table = manifest.table
    tensors = {key: record(one) for key, one in table.tensors.items()}
    files: tuple[FileRecord, ...] = tuple(
        replace(f, name=_new(f.name, names)) for f in manifest.files
    )
    return replace(manifest, files=files, table=replace(table, tensors=tensors))


def _new(name: str, names: Mapping[str, str]) -> str:
    return names.get(name, name)


def _appear(source: Path, target: Path, *, link: bool) -> None:
    """Copy a file or folder, whole or not at all, with its times."""
    claim = owners.Claim(sidecar.staging_prefix(target.name))
    draft = target.with_name(claim.name)
    try:
        take = _linked if link else shutil.copy2
        if source.is_dir():
            shutil.copytree(source, draft, copy_function=take)
            durable.sync_tree(draft)
        else:
            take(source, draft)
            durable.sync(draft)
        draft.rename(target)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
        claim.release()


def _linked(source: str | Path, target: str | Path) -> None:
    placing.link(Path(source), Path(target))
