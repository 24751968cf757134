"""Checkpoints made by hand, without Keras."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import h5py

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CONFIG", "hdf5", "zipped"]

CONFIG = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "net",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 3]}},
            {"class_name": "Dense", "config": {"name": "body", "units": 4}},
            {"class_name": "Dense", "config": {"name": "head", "units": 2}},
        ],
    },
}


def hdf5(
    tensors: Mapping[str, np.ndarray], names: Mapping[str, str] | None = None, **options: Any
) -> bytes:
    """An HDF5 file in memory."""
    raw = io.BytesIO()
    with h5py.File(raw, "w", **options) as file:
        for path, array in tensors.items():
            file[path] = array
        for path, name in (names or {}).items():
            file[path].attrs["name"] = name
    return raw.getvalue()


def zipped(members: Mapping[str, bytes], **options: Any) -> bytes:
    """A zip archive in memory; stored unless `compression=` says otherwise."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", **options) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return raw.getvalue()
