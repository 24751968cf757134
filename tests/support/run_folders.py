"""Checkpoints as a run leaves them in a folder, made by hand and without Keras."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from format_files import CONFIG, hdf5, zipped
from tf_bundles import write_bundle

import kerasguard as kg
from kerasguard.storage import sidecar

__all__ = ["damage", "describe", "leave", "set_time"]


def leave(path: Path, when: float, *, recorded: bool = True, **training: Any) -> Path:
    """Write a small checkpoint of the kind that its name tells, last changed `when` seconds."""
    values = np.random.default_rng(zlib.crc32(str(path).encode()))
    tensors = {
        "layers/dense/vars/0": values.normal(size=(3, 4)).astype("float32"),
        "layers/dense/vars/1": values.normal(size=4).astype("float32"),
        "layers/dense_1/vars/0": values.normal(size=(4, 2)).astype("float32"),
        "layers/dense_1/vars/1": values.normal(size=2).astype("float32"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".keras"):
        parts = {
            "metadata.json": json.dumps({"keras_version": "3.15.1"}).encode(),
            "config.json": json.dumps(CONFIG).encode(),
            "model.weights.h5": hdf5(tensors),
        }
        path.write_bytes(zipped(parts))
    elif ".weights.h5" in path.name:
        path.write_bytes(hdf5(tensors))
    else:
        write_bundle(path, tensors)
    if recorded:
        describe(path, **training)
    set_time(path, when)
    return path


def describe(path: Path, **training: Any) -> None:
    """Record a checkpoint, with what a callback knows of the training."""
    manifest = kg.record(path)
    if training:
        sidecar.write(path, replace(manifest, training=training))


def set_time(path: Path, when: float) -> None:
    """Let the files of a checkpoint be last changed `when`, seconds."""
    for part in (*path.parent.glob(path.name), *path.parent.glob(f"{path.name}.*")):
        os.utime(part, (when, when))


def damage(path: Path) -> None:
    """Flip one bit of a file, which keeps its time."""
    before = path.stat().st_mtime
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 5] ^= 1
    path.write_bytes(content)
    os.utime(path, (before, before))
