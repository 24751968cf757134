"""Checkpoints that were recorded, without a framework: bytes and manifests made up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import sidecar
from kerasguard.tensors import Table, TensorRecord, TensorSpec


@dataclass(frozen=True)
class Event:
    """What an observer is told."""

    path: Path
    manifest: Manifest


def event(path: Path, seed: int, *, beside: bool = True) -> Event:
    """Write a file that looks like a `.keras` file and record it; `seed` decides its weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PK\x03\x04 config.json, weights of seed %d" % seed)
    files = (file_record(path, path.name),)
    made = Event(path, manifest_of(files, seed))
    if beside:
        sidecar.write(path, made.manifest)
    return made


def manifest_of(files: tuple[FileRecord, ...], seed: int) -> Manifest:
    """A manifest of one tensor whose digest is made up from `seed`."""
    record = TensorRecord("layers/dense/vars/0", TensorSpec((2,), "float32"), digest=f"xxh3:{seed}")
    return Manifest("keras_zip", files, Table.of([record]))


def file_record(path: Path, name: str) -> FileRecord:
    """The record of a file as it lies there."""
    data = path.read_bytes()
    return FileRecord(name, len(data), hashlib.sha256(data).hexdigest(), "xxh3:0")
