"""Whether the bytes of one file are those that a manifest has digests of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xxhash import xxh3_128

from kerasguard.errors import CheckpointError
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import TensorRecord

__all__ = ["agrees", "is_covered", "tensors_by_file"]


def tensors_by_file(
    files: Iterable[FileRecord], manifest: Manifest
) -> dict[str, list[TensorRecord]]:
    """The tensors that lie in each recorded file; nothing where what is recorded cannot be.

    Args:
        files: of the manifest, companion included.
        manifest: what its own tensors hold is compared with their digests.
    """
    tensors: dict[str, list[TensorRecord]] = {record.name: [] for record in files}
    for tensor in manifest.recorded.values():
        if tensor.data is not None:
            if tensor.digest != f"xxh3:{xxh3_128(tensor.data).hexdigest()}":
                return {}
            continue
        extent = tensor.extent
        if extent is None:
            continue
        if extent.file not in tensors or extent.length != tensor.spec.nbytes:
            return {}
        tensors[extent.file].append(tensor)
    return tensors


def is_covered(path: Path, record: FileRecord, manifest: Manifest) -> bool:
    """Whether the file that lies at a path is as recorded, by all digests but SHA-256."""
    records = (*manifest.files, *((manifest.companion,) if manifest.companion else ()))
    tensors = tensors_by_file(records, manifest).get(record.name)
    try:
        with OpenedFile(path) as file:
            return tensors is not None and agrees(file, record, tensors)
    except CheckpointError:
        return False


def agrees(
    file: OpenedFile, record: FileRecord, tensors: Iterable[TensorRecord], whole: Any = None
) -> bool:
    """Whether every byte of a file is as recorded, by the digests that a manifest has of it.

    Args:
        file: opened.
        record: of the file.
        tensors: that lie in it.
        whole: a SHA-256, to be compared as well.
    """
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
