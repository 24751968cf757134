"""Whether a checkpoint is the very one whose digest the caller keeps elsewhere.

A manifest finds what happened to a file; somebody who can change both can make them agree. A digest
that lies in source code, a lock file, a registry, or under a signature cannot be changed with them.
"""

from __future__ import annotations

import hashlib

from kerasguard.errors import PinnedDigestError
from kerasguard.loader.reading import Reading
from kerasguard.manifest import Manifest

__all__ = ["check_files", "check_weights"]


def check_files(reading: Reading, digest: str, *, own_model: bool) -> None:
    """Refuse a checkpoint whose files are not the demanded ones, before anything is built.

    Args:
        reading: of the checkpoint.
        digest: `sha256:` of the checkpoint's only file, or of its manifest, which then covers
            every file.
        own_model: whether the caller passes the model, so that no architecture is read.

    Raises:
        PinnedDigestError: the digest is another one, or covers less than what would be loaded.
    """
    if not digest.startswith("sha256:"):
        return
    found = _manifest_digest(reading.recorded_as)
    if found == digest:
        problems = [*reading.problems, *reading.rehash()]
        if problems:
            raise PinnedDigestError(
                reading.path, f"does not match the demanded manifest: {'; '.join(problems)}"
            )
        return
    files = list(reading.checkpoint.files().values())
    told = [f"its manifest has {found}"] if found else []
    if len(files) == 1:
        mine = f"sha256:{files[0].sha256()}"
        if mine == digest:
            _check_covered(reading, own_model=own_model)
            return
        told.insert(0, f"it has {mine}")
    raise _other(reading, " and ".join(told) or "it has several files and no manifest", digest)


def check_weights(reading: Reading, digest: str) -> None:
    """Refuse different weights than the demanded ones, once all are read and none is assigned.

    Args:
        reading: of the checkpoint, finished.
        digest: `xxh3:`, of the weights, as MLflow has it as a tag.

    Raises:
        PinnedDigestError: the weights have another one.
    """
    if not digest.startswith("xxh3:"):
        return
    found = Manifest(reading.checkpoint.name, (), reading.table).weights_digest
    if found != digest:
        raise _other(reading, f"its weights have {found}", digest)


def _manifest_digest(manifest: Manifest | None) -> str:
    """SHA-256 of the manifest's file as it was written; empty without one."""
    if manifest is None:
        return ""
    return f"sha256:{hashlib.sha256(manifest.to_json().encode()).hexdigest()}"


def _check_covered(reading: Reading, *, own_model: bool) -> None:
    manifest = reading.manifest
    if manifest is None:
        return
    bare = reading.checkpoint.architecture() is None and not own_model
    if bare or manifest.kept:
        what = "the architecture" if bare else "state that Keras did not write"
        raise PinnedDigestError(
            reading.path,
            f"the demanded digest is that of the file, and {what} comes from beside it; demand "
            f'that of the manifest, {_manifest_digest(reading.recorded_as)}, or manifest="ignore"',
        )


def _other(reading: Reading, found: str, digest: str) -> PinnedDigestError:
    return PinnedDigestError(
        reading.path, f"is not the demanded checkpoint: it has {found}, not {digest}"
    )
