"""Whether a checkpoint is, byte for byte, the one that its manifest describes.

The usual answer is yes, and proving it takes neither NumPy nor the format's reader: every recorded
file is read once, in pieces, into the digests of its tensors and the one of all that lies between
them, which together cover every byte. A no says nothing about what differs: that is for a full
reading to find out.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xxhash import xxh3_128

from kerasguard.errors import CheckpointError
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import companion, sidecar
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import TensorRecord

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
    tensors: dict[str, list[TensorRecord]] = {record.name: [] for record in files}
    for tensor in manifest.recorded.values():
        if tensor.data is not None:
            if tensor.digest != f"xxh3:{xxh3_128(tensor.data).hexdigest()}":
                return False
            continue
        extent = tensor.extent
        if extent is None:
            continue
        if extent.file not in tensors or extent.length != tensor.spec.nbytes:
            return False
        tensors[extent.file].append(tensor)
    return len(files) > 0 and all(
        _is_recorded(file, record, tensors[record.name], hashlib.sha256() if sha256 else None)
        for record, file in files.items()
    )


def _is_recorded(
    file: OpenedFile, record: FileRecord, tensors: Iterable[TensorRecord], whole: Any
) -> bool:
    try:
        return file.size == record.size and _agree(file, record, tensors, whole)
    except CheckpointError:
        return False


def _agree(
    file: OpenedFile, record: FileRecord, tensors: Iterable[TensorRecord], whole: Any
) -> bool:
    """Read the file from start to end and compare what it digests to; `whole` is a SHA-256."""
    skeleton, position = xxh3_128(), 0

    def read_to(end: int, state: xxh3_128) -> int:
        for piece in file.pieces(position, end - position):
            if whole is not None:
                whole.update(piece)
            state.update(piece)
        return end

    for offset, length, digest in sorted(map(_place, tensors)):
        if offset < position or offset + length > file.size:
            return False
        position, state = read_to(offset, skeleton), xxh3_128()
        position = read_to(offset + length, state)
        if digest != f"xxh3:{state.hexdigest()}":
            return False
    read_to(file.size, skeleton)
    if whole is not None and whole.hexdigest() != record.sha256:
        return False
    return f"xxh3:{skeleton.hexdigest()}" == record.skeleton


def _place(tensor: TensorRecord) -> tuple[int, int, str]:
    assert tensor.extent is not None
    return tensor.extent.offset, tensor.extent.length, tensor.digest or ""
