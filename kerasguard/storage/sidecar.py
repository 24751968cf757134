"""Where the manifest of a checkpoint lies, and how it is read and written.

The sidecar is the file `<checkpoint>.manifest.json`, beside the checkpoint. A save moves the
checkpoint and its manifest into place one after the other (see `commit`), so after a kill between
the two the new manifest still waits in the save's staging folder: it is *pending*. `read` returns
the manifest that describes the checkpoint that is there, be it in place or pending.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from kerasguard.errors import CheckpointError, ManifestError
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import durable, owners, placing
from kerasguard.storage.agreement import is_covered
from kerasguard.storage.manifest_file import parse
from kerasguard.storage.opened_file import OpenedFile

__all__ = [
    "PENDING_NAME",
    "ManifestPolicy",
    "SUFFIX",
    "check_replaceable",
    "clear_abandoned",
    "describes",
    "located",
    "parse",
    "place_of",
    "promote",
    "read",
    "settle",
    "sidecar_path",
    "staging_prefix",
    "write",
]

ManifestPolicy = Literal["auto", "ignore", "require"]
SUFFIX = ".manifest.json"
PENDING_NAME = "manifest.json"
_LONGEST_NAME = 200  # bytes; leaves room below 255 for what a staging folder's name adds


def sidecar_path(checkpoint: Path) -> Path:
    """The manifest's file: `07.keras` -> `07.keras.manifest.json`.

    For a TF checkpoint give the prefix (`ckpt-3`), for a directory the directory: its manifest
    lies beside it, not inside.
    """
    path = Path(checkpoint)
    if path.name in ("", ".."):
        path = path.resolve()
    if not path.name:  # the root, which has no name and nothing beside it
        return path / SUFFIX
    return path.with_name(durable.name_beside(path.name, SUFFIX))


def place_of(checkpoint: Path) -> Path:
    """Where the manifest of `checkpoint` is, or would be written.

    Beside the path as given; where that is a symbolic link without a manifest of its own, beside
    the file that it leads to.
    """
    beside = sidecar_path(checkpoint)
    with contextlib.suppress(OSError):  # a name that is too long leads nowhere
        if checkpoint.is_symlink() and not os.path.lexists(beside):
            return sidecar_path(Path(os.path.realpath(checkpoint)))
    return beside


def check_replaceable(checkpoint: Path) -> None:
    """See that the manifest of a checkpoint that is to be written in place can be replaced.

    Raises:
        PermissionError: it cannot, so nothing may be written there.
    """
    place = place_of(checkpoint)
    if place.exists() and not os.access(place, os.W_OK):
        what = "the manifest of the checkpoint there cannot be replaced, so both are kept"
        raise PermissionError(errno.EACCES, what, str(place))


def staging_prefix(name: str) -> str:
    """What the names of all staging folders for a checkpoint called `name` start with.

    The same for `m.weights.h5` and `m.weights.json`: asked to shard, Keras writes the latter.
    """
    if name.endswith((".weights.h5", ".weights.json")):
        name = name[: name.rindex(".")]
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return f".{name}.kg-"


def read(checkpoint: Path) -> Manifest | None:
    """The manifest that describes `checkpoint`, or None where nobody recorded it.

    Nothing but the sidecar is opened, unless a save was cut short or is under way: then the
    checkpoint's files are digested to tell which manifest is theirs. A manifest in place that
    describes other bytes is returned all the same; the verification says what differs.

    Raises:
        ManifestError: the sidecar cannot be read, is empty, cut, not JSON, or of wrong types;
            `.path` and `.where` name the place.
        UnsupportedManifestError: it was written under a newer schema.
    """
    # Pending manifests are looked for first: a save that ends meanwhile takes its own away,
    # and the manifest in place is then the new one.
    waiting = list(_pending(checkpoint))
    place = place_of(checkpoint)
    if not waiting:
        return parse(place)
    digests: dict[Path, str] = {}
    problem: ManifestError | None = None
    settled: Manifest | None = None
    try:
        settled = parse(place)
    except ManifestError as error:
        problem = error
    if settled is not None and describes(settled, checkpoint, digests):
        return settled
    found = _matching(waiting, checkpoint, digests)
    if found is not None:
        return found[1]
    if problem is not None:
        raise problem
    return settled


def promote(checkpoint: Path) -> None:
    """Put a pending manifest into place where only that one describes the checkpoint."""
    waiting = list(_pending(checkpoint))
    if not waiting:
        return
    digests: dict[Path, str] = {}
    place = place_of(checkpoint)
    with contextlib.suppress(ManifestError):
        settled = parse(place)
        if settled is not None and describes(settled, checkpoint, digests):
            return
    found = _matching(waiting, checkpoint, digests)
    if found is not None:
        found[0].replace(place)


def clear_abandoned(target: Path) -> None:
    """Remove what killed saves to `target` left, after completing what they had begun."""
    prefix = staging_prefix(target.name)
    folders = [path for path in target.parent.iterdir() if path.name.startswith(prefix)]
    folders = [folder for folder in folders if owners.is_abandoned(folder)]
    if not folders:
        return
    with durable.locked(target.parent):
        for folder in folders:
            if (folder / "old").exists() and not target.exists():
                (folder / "old").rename(target)
        for checkpoint in (target, target.with_suffix(".json")):
            promote(checkpoint)
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.unlink() if folder.is_file() else shutil.rmtree(folder)


def write(checkpoint: Path, manifest: Manifest) -> Path:
    """Write the manifest beside a checkpoint that exists; readers see the old or the new one.

    Returns:
        The file written.

    Raises:
        OSError: the folder cannot be written to; the manifest that was there is untouched.
    """
    place = place_of(checkpoint)
    prefix = staging_prefix(place.name.removesuffix(SUFFIX))
    claim = owners.Claim(prefix)
    draft = place.with_name(claim.name)
    try:
        try:
            durable.write_durably(draft, manifest.to_json())
        except OSError as error:  # a folder that takes no new files
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not place.exists():
                raise
            placing.overwrite(place, manifest.to_json().encode())
        else:
            settle(draft, place)
    finally:
        draft.unlink(missing_ok=True)
        claim.release()
    return place


def settle(pending: Path, place: Path) -> None:
    """Move a manifest into its place; where it cannot be renamed, its content alone."""
    try:
        pending.replace(place)
    except OSError:
        if not place.is_file():
            raise
        placing.overwrite(place, pending.read_bytes())


def describes(manifest: Manifest, checkpoint: Path, digests: dict[Path, str] | None = None) -> bool:
    """Whether size and SHA-256 of every file of `checkpoint` are as the manifest says.

    A file that has no SHA-256 there is compared by the digests that cover it.

    Args:
        manifest: the recorded files.
        checkpoint: may have been renamed since, where it is a single file.
        digests: remembers what was digested, for further calls.
    """
    known = {} if digests is None else digests
    files = located(manifest, checkpoint)
    return bool(files) and all(
        _is_as_recorded(r, path, known) if r.sha256 else is_covered(path, r, manifest)
        for r, path in files.items()
    )


def located(manifest: Manifest, checkpoint: Path) -> Mapping[FileRecord, Path]:
    """Each recorded file's place; empty where the manifest is of another kind of checkpoint."""
    names = [record.name for record in manifest.files]
    if any(PurePosixPath(n).is_absolute() or ".." in PurePosixPath(n).parts for n in names):
        return {}
    if checkpoint.is_dir():
        return {record: checkpoint / record.name for record in manifest.files}
    if checkpoint.is_file():
        if len(names) == 1:  # it may have been renamed since
            return {manifest.files[0]: checkpoint}
        if checkpoint.name not in names:
            return {}
    elif not all(name.startswith(checkpoint.name) for name in names):
        return {}
    return {record: checkpoint.with_name(record.name) for record in manifest.files}


def _is_as_recorded(record: FileRecord, path: Path, known: dict[Path, str]) -> bool:
    try:
        if path.stat().st_size != record.size:
            return False
        if path not in known:
            with OpenedFile(path) as file:
                known[path] = file.sha256()
    except (OSError, CheckpointError):
        return False  # not even readable, so it proves nothing; opening it will say why
    return known[path] == record.sha256


def _pending(checkpoint: Path) -> Iterator[Path]:
    home = Path(os.path.realpath(checkpoint))
    prefix = staging_prefix(home.name)
    try:
        folders = sorted(path for path in home.parent.iterdir() if path.name.startswith(prefix))
    except OSError:
        return  # whoever opens the checkpoint will say what is wrong with its folder
    for folder in folders:
        if (folder / PENDING_NAME).is_file():
            yield folder / PENDING_NAME


def _matching(
    waiting: list[Path], checkpoint: Path, digests: dict[Path, str]
) -> tuple[Path, Manifest] | None:
    for path in waiting:
        with contextlib.suppress(ManifestError):  # cut short as well: it was never complete
            manifest = parse(path)
            if manifest is not None and describes(manifest, checkpoint, digests):
                return path, manifest
    return None
