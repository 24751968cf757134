"""Whether a checkpoint is, byte for byte, the one that its manifest describes.

The usual answer is yes, and proving it takes neither NumPy nor the format's reader: every recorded
file is read once, in pieces, into the digests of its tensors and the one of all that lies between
them, which together cover every byte. A no says nothing about what differs: that is for a full
reading to find out.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

from kerasguard.errors import CheckpointError
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import companion, sidecar
from kerasguard.storage.agreement import agrees, tensors_by_file
from kerasguard.storage.opened_file import OpenedFile

__all__ = ["as_recorded", "opened"]


def opened(
    checkpoint: Path, manifest: Manifest, stack: contextlib.ExitStack
) -> dict[FileRecord, OpenedFile]:
    """Every recorded file of a checkpoint, companion included; empty where one is missing.

    Args:
        checkpoint: where it lies.
        manifest: tells which files.
        stack: closes them.
    """
    places = dict(sidecar.located(manifest, checkpoint))
    if manifest.companion is not None:
        places[manifest.companion] = companion.located(checkpoint, manifest.companion.name)
    try:
        return {r: stack.enter_context(OpenedFile(path)) for r, path in places.items()}
    except CheckpointError:
        return {}


def as_recorded(
    files: Mapping[FileRecord, OpenedFile], manifest: Manifest, *, sha256: bool = False
) -> bool:
    """Whether every file, and every digest in the manifest, is that of the bytes that are there.

    False also where the manifest alone cannot tell: a file that was renamed together with others.
    Bytes that are in no tensor's extent are in the files' skeletons, so a tensor that lies in
    pieces or compressed is as recorded where these are.

    Args:
        files: of the checkpoint, as `opened`.
        manifest: its own.
        sha256: compare the files' SHA-256 as well, which takes six times as long. xxh3 finds
            every accident; somebody who changes a file on purpose could keep it the same.
    """
    tensors = tensors_by_file(files, manifest)
    return bool(tensors) and all(
        agrees(file, record, tensors[record.name], hashlib.sha256() if sha256 else None)
        for record, file in files.items()
    )
