"""The file systems that fsspec knows, as `file_system.Files`; imported where an address is read."""

from __future__ import annotations

import posixpath
from contextlib import suppress
from pathlib import Path

from fsspec.core import url_to_fs

from kerasguard.storage.file_system import Stat

__all__ = ["FsspecFiles"]


class FsspecFiles:
    """Through fsspec; what it remembers of folders is asked anew."""

    def __init__(self, url: str) -> None:
        self._system = url_to_fs(url)[0]
        self._system.invalidate_cache()

    def _path(self, url: str) -> str:
        path: str = url_to_fs(url)[1]
        return path

    def stat(self, url: str) -> Stat | None:
        """What lies there; None where nothing does."""
        try:
            found = self._system.info(self._path(url))
        except FileNotFoundError:
            return None
        return Stat(found.get("size"), found.get("type") == "directory")

    def names(self, url: str) -> list[str]:
        """Names in a folder; none where it cannot be listed, as on most web servers."""
        try:
            found = self._system.ls(self._path(url), detail=False)
        except (FileNotFoundError, NotImplementedError):
            return []
        names = {posixpath.basename(str(name).rstrip("/")) for name in found}
        itself = posixpath.basename(self._path(url).rstrip("/"))  # S3 has marks for folders
        return sorted(names - {itself} if len(names) > 1 else names)

    def head(self, url: str, count: int) -> bytes:
        """The first bytes of a file."""
        return bytes(self._system.cat_file(self._path(url), start=0, end=count))

    def get(self, url: str, path: Path) -> None:
        """Copy a file to this machine."""
        self._system.get_file(self._path(url), str(path))

    def put(self, path: Path, url: str) -> None:
        """Copy a file there; where there are folders, they are made."""
        there = self._path(url)
        with suppress(NotImplementedError):
            self._system.makedirs(posixpath.dirname(there), exist_ok=True)
        self._system.put_file(str(path), there)
        self._system.invalidate_cache()

    def remove(self, url: str) -> None:
        """Remove a file."""
        self._system.rm_file(self._path(url))
