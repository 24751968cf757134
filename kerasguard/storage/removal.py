"""Deleting a recorded checkpoint, with its manifest, companion and shards: all of it or nothing.

The checkpoint goes first and its manifest last, so that a kill leaves a manifest that still names
what is left, and never a checkpoint that looks as if nobody had recorded it. What is no longer as
it was recorded is somebody else's and stays.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kerasguard.errors import KerasguardError
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import companion, durable, owners, sidecar
from kerasguard.storage.as_recorded import as_recorded, opened

__all__ = ["clear", "intact", "remove"]


def intact(checkpoint: Path, manifest: Manifest) -> bool:
    """Whether every byte of a checkpoint, and of its companion, is as its manifest says."""
    with contextlib.ExitStack() as stack:
        if as_recorded(opened(checkpoint, manifest, stack), manifest):
            return True
    # The quick way cannot tell where a tensor lies in pieces or compressed.
    if not sidecar.describes(manifest, checkpoint):
        return False
    record = manifest.companion
    if record is None:
        return True
    place = companion.located(checkpoint, record.name)
    return place.is_file() and companion.described(record.name, place.read_bytes()) == record


def remove(checkpoint: Path, checkpoint_id: str) -> bool:
    """Delete a checkpoint that is still, byte for byte, the one that was recorded under an id.

    Returns:
        False where it is another one, or no longer as recorded; nothing was deleted then.

    Raises:
        OSError: not all of it could be deleted; what is left has its manifest.
    """
    home = Path(os.path.realpath(checkpoint))
    with durable.locked(home.parent):
        try:
            manifest = sidecar.read(checkpoint)
        except KerasguardError:
            return False
        if manifest is None or manifest.checkpoint_id != checkpoint_id or checkpoint.is_symlink():
            return False
        files = sidecar.located(manifest, home)
        if not files or not intact(home, manifest) or (home.is_dir() and _others(home, files)):
            return False
        _delete(home, manifest, files)
    return True


def clear(folder: Path) -> None:
    """Delete a folder so that it is gone in one step."""
    claim = owners.Claim(sidecar.staging_prefix(folder.name))
    aside = folder.with_name(claim.name)
    folder.rename(aside)
    shutil.rmtree(aside)
    claim.release()


def _delete(home: Path, manifest: Manifest, files: Mapping[FileRecord, Path]) -> None:
    if home.is_dir():
        clear(home)
    else:
        # What makes a checkpoint of its parts goes first: the list of shards, the index.
        for path in sorted(files.values(), key=lambda p: (p != home, p.suffix != ".index")):
            _with_other_names(path, home)
    companion.retire(home, None)
    sidecar.place_of(home).unlink(missing_ok=True)


def _with_other_names(path: Path, home: Path) -> None:
    """Delete a file, and of a shard the plain name that `shards.retire` gave to it."""
    if path != home and path.name.endswith(".weights.h5"):
        for other in path.parent.glob("*_00000.weights.h5"):
            if other != path and other.samefile(path):
                other.unlink()
    path.unlink()


def _others(folder: Path, files: Mapping[FileRecord, Path]) -> bool:
    """Whether a folder holds a file that is none of those recorded."""
    found = {Path(here, name) for here, _, names in os.walk(folder) for name in names}
    return bool(found - set(files.values()))
