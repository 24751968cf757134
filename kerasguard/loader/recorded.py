"""What a manifest says of a checkpoint, put together with what the files say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kerasguard.errors import ManifestMissingError
from kerasguard.manifest import Manifest
from kerasguard.storage import sidecar
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.storage.file_survey import skeleton_differences
from kerasguard.storage.sidecar import ManifestPolicy
from kerasguard.tensors import TensorRecord

__all__ = ["enriched", "manifest_of", "problems_of"]


def manifest_of(path: Path, policy: ManifestPolicy | Manifest) -> Manifest | None:
    """The manifest to use: the one that is given, or the sidecar's, as the policy says.

    Raises:
        ManifestMissingError: one is demanded, and there is none.
        ManifestError: it cannot be read.
    """
    if isinstance(policy, Manifest):
        return policy
    if policy == "ignore":
        return None
    found = sidecar.read(path)
    if found is None and policy == "require":
        raise ManifestMissingError(
            "there is no manifest; record the checkpoint first (kerasguard.record)",
            path=sidecar.sidecar_path(path),
        )
    return found


def enriched(stored: TensorRecord, known: TensorRecord | None) -> TensorRecord:
    """A stored record with the names that the manifest knows; the bytes' place stays the file's."""
    if known is None or known.spec != stored.spec:
        return stored
    return replace(known, digest=None, nonfinite=None, extent=stored.extent)


def problems_of(checkpoint: Checkpoint, manifest: Manifest | None) -> tuple[str, ...]:
    """Damage outside the tensors: against the manifest, else what the container tells."""
    if manifest is None:
        return tuple(checkpoint.verify_container())
    return tuple(
        f"{name}: bytes outside the tensors differ from the manifest; the file changed after "
        "it was recorded: restore it from a copy, or load it as it is with "
        'manifest="ignore"'
        for name in skeleton_differences(checkpoint.files(), manifest)
    )
