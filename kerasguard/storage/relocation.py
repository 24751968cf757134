"""Manifest and companion of a checkpoint that was copied or is moved: the pair stays one."""

from __future__ import annotations

from pathlib import Path

from kerasguard.storage import companion, durable, sidecar

__all__ = ["carry"]


def carry(source: Path, target: Path) -> None:
    """Give a copy of a checkpoint's file the manifest and the companion of the original.

    What described the file that lay at `target` before is taken away.

    Raises:
        OSError: nothing can be written there.
    """
    manifest = sidecar.read(source)
    with durable.locked(target.parent):
        kept = None
        if manifest is not None and manifest.companion is not None:
            kept = _copied(companion.located(source, manifest.companion.name), source, target)
        if manifest is None:
            sidecar.place_of(target).unlink(missing_ok=True)
        else:
            sidecar.write(target, manifest)
        for path in target.parent.iterdir():
            if companion.belongs(path.name, target.name) and path != kept:
                path.unlink(missing_ok=True)


def _copied(place: Path, source: Path, target: Path) -> Path | None:
    """A companion under the name that belongs to `target`; None where there is none."""
    if not place.is_file():
        return None
    copy = target.with_name(companion.renamed(place.name, target.name))
    if not copy.exists():
        durable.link(place, copy)  # a companion is replaced, never written to
    return copy
