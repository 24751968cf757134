"""TensorFlow's file systems (`gs://`, `ram://`, ...), which Keras reads and writes through."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

from kerasguard.storage.file_system import Files, Stat

__all__ = ["files_at"]

_PIECE = 8 << 20


def files_at(url: str) -> Files | None:
    """The file system of an address; None where TensorFlow has none for it."""
    import tensorflow as tf

    known = tf.io.gfile.get_registered_schemes()
    return _Gfile(tf) if url.partition("://")[0] in known else None


class _Gfile:
    """`tf.io.gfile` as `Files`."""

    def __init__(self, tensorflow: Any) -> None:
        self._gfile, self._missing = tensorflow.io.gfile, tensorflow.errors.NotFoundError

    def stat(self, url: str) -> Stat | None:
        try:
            found = self._gfile.stat(url)
        except self._missing:
            return None
        return Stat(None if found.is_directory else int(found.length), bool(found.is_directory))

    def names(self, url: str) -> list[str]:
        try:
            return [str(name).rstrip("/") for name in self._gfile.listdir(url)]
        except self._missing:
            return []

    def head(self, url: str, count: int) -> bytes:
        with self._gfile.GFile(url, "rb") as file:
            return bytes(file.read(count))

    def get(self, url: str, path: Path) -> None:
        with self._gfile.GFile(url, "rb") as source, path.open("wb") as file:
            shutil.copyfileobj(source, file, _PIECE)

    def put(self, path: Path, url: str) -> None:
        self._gfile.makedirs(url.rpartition("/")[0])
        if url.startswith("ram://"):  # else the end of a longer file stays
            with contextlib.suppress(self._missing):
                self._gfile.remove(url)
        # Its own copy takes `ram://m.keras` for a folder where `ram://m.keras.json` lies.
        with path.open("rb") as source, self._gfile.GFile(url, "wb") as file:
            shutil.copyfileobj(source, file, _PIECE)

    def remove(self, url: str) -> None:
        self._gfile.remove(url)
