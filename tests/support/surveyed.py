"""Manifests of what lies on the disk, without a format or a model: files, sizes, digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage.as_recorded import as_recorded, opened
from kerasguard.tensors import Table

__all__ = ["files_of", "is_as_recorded", "surveyed"]


def files_of(checkpoint: Path) -> dict[str, Path]:
    """A checkpoint's files by the name that a manifest gives them."""
    if checkpoint.is_dir():
        return {
            str(path.relative_to(checkpoint)): path
            for path in sorted(checkpoint.rglob("*"))
            if path.is_file()
        }
    names = {checkpoint.name}
    if checkpoint.suffix == ".json":
        for value in json.loads(checkpoint.read_text())["weight_map"].values():
            names |= set(value if isinstance(value, list) else [value])
    return {name: checkpoint.with_name(name) for name in sorted(names)}


def surveyed(checkpoint: Path, **fields: object) -> Manifest:
    """A manifest that tells no more than the files' bytes."""
    records = []
    for name, path in files_of(checkpoint).items():
        data = path.read_bytes()
        records.append(FileRecord(name, len(data), hashlib.sha256(data).hexdigest(), "xxh3:0"))
    return Manifest("bytes", tuple(records), Table({}), **fields)  # type: ignore[arg-type]


def is_as_recorded(checkpoint: Path, manifest: Manifest, *, sha256: bool = False) -> bool:
    """Whether every byte is that of the manifest."""
    with contextlib.ExitStack() as stack:
        return as_recorded(opened(checkpoint, manifest, stack), manifest, sha256=sha256)
