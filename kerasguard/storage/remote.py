"""Checkpoints that lie elsewhere: fetched whole into a private folder, sent whole from one.

An address (`s3://bucket/run/07.keras`) is read and written through fsspec, which the `[remote]`
extra installs, or through whatever else the caller has that knows it. What is fetched is a
checkpoint with all its parts, its manifest and its companion; it is then verified as any other.
"""

from __future__ import annotations

import importlib.util
import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from kerasguard.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    KerasguardError,
    MissingPackageError,
)
from kerasguard.manifest import Manifest
from kerasguard.storage import companion, shards, sidecar
from kerasguard.storage.file_system import Files, Stat

__all__ = [
    "fetched", "files_at", "inside", "is_remote", "local_path", "name_of", "send",
]  # fmt: skip

_ADDRESS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]+)://")
# Parts of a TensorFlow checkpoint, whose own name is not a file's.
_PART = re.compile(r"\.(index|data-\d{5}-of-\d{5})")


def is_remote(value: object) -> bool:
    """Whether a path is an address elsewhere; `file://` is here."""
    found = _ADDRESS.match(value) if isinstance(value, str) else None
    return found is not None and found["scheme"] != "file"


def local_path(value: Any) -> Path:
    """A path on this machine: `~` is the home folder where nothing else is called so."""
    text = str(value)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    path = Path(value)
    if not text.startswith("~") or os.path.lexists(path.parts[0]):
        return path
    with suppress(RuntimeError):  # nobody of that name
        return path.expanduser()
    return path


def name_of(url: str) -> str:
    """The name of what an address leads to, on this machine."""
    name = posixpath.basename(_plain(url).partition("://")[2].rstrip("/"))
    return (unquote(name) if _is_web(url) else name) or "checkpoint"


def files_at(url: str, others: Callable[[str], Files | None]) -> Files:
    """What reads and writes an address.

    Args:
        url: the address.
        others: asked where fsspec is missing, or does not know the address.

    Raises:
        MissingPackageError: nothing that is installed knows it.
    """
    scheme = url.partition("://")[0]
    try:
        from kerasguard.storage.fsspec_files import FsspecFiles

        return FsspecFiles(url)
    except (ImportError, ValueError) as error:
        there = all(importlib.util.find_spec(name) for name in ("tensorflow", "keras"))
        found = others(url) if there else None
        if found is not None:
            return found
        if isinstance(error, ValueError):
            raise CheckpointError(
                url, f"{scheme}:// is not a kind of address that fsspec knows ({error}); check it"
            ) from error
        raise MissingPackageError(
            f"{url}: {scheme}:// needs a package that is not installed; install "
            "kerasguard[remote], or fsspec with the package for these addresses"
        ) from error


@contextmanager
def fetched(url: str, files: Files) -> Iterator[Path]:
    """The checkpoint at an address with all that belongs to it, in a private folder.

    Raises:
        CheckpointNotFoundError: nothing lies there.
        CorruptCheckpointError: a download ended early.
        CheckpointError: it could not be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
        place = Path(folder, name_of(url))
        with _asking(url, "fetched"):
            _fetch(url, place, files)
            _fetch_beside(url, place, files)
        yield place


def send(place: Path, url: str, files: Files, *, leave: Collection[Path] = ()) -> None:
    """Put the checkpoint at `place`, alone in its folder, where an address says.

    Its manifest goes last: until then what lies there is a pair that does not fit, which no load
    takes. What belonged to the checkpoint of before is removed.

    Args:
        place: the checkpoint.
        url: where it is to lie.
        files: writes there.
        leave: what lies there already, of the same content.

    Raises:
        CheckpointError: it could not be sent.
    """
    new = sorted(path for path in place.parent.rglob("*") if path.is_file())
    manifest = sidecar.place_of(place)
    leave = set(leave) - {manifest}
    order = sorted(new, key=lambda p: (p == manifest, p == place, len(p.parts), p))
    base = _folder(url)
    with _asking(url, "sent"):
        if manifest not in new and files.stat(_beside(url, manifest.name)):
            files.remove(_beside(url, manifest.name))
        for path in (path for path in order if path not in leave):
            files.put(path, inside(base, path.relative_to(place.parent).as_posix()))
        kept = {path.name for path in new}
        for name in files.names(base):
            if companion.belongs(name, place.name) and name not in kept:
                files.remove(inside(base, name))


def _fetch(url: str, place: Path, files: Files) -> None:
    found = files.stat(url)
    if found is None:
        _fetch_prefix(url, place, files)
    elif found.folder:
        place.mkdir()
        for name in files.names(url):
            if name and not name.startswith(".") and "/" not in name:
                _fetch(inside(url, name), place / name, files)
    else:
        _fetch_file(url, place, found, files)
        if place.name.endswith(".weights.json"):
            for name in sorted(shards.shards_of(place)):
                _fetch(_beside(url, name), place.with_name(name), files)


def _fetch_prefix(url: str, place: Path, files: Files) -> None:
    """The parts of a TensorFlow checkpoint."""
    names = [n for n in files.names(_folder(url)) if n.startswith(place.name)]
    parts = [n for n in names if _PART.fullmatch(n.removeprefix(place.name))]
    if not parts:
        near = f"; beside it there is {', '.join(sorted(names)[:3])}" if names else ""
        raise CheckpointNotFoundError(url, f"no such file{near or '; check the address'}")
    for name in parts:
        _fetch(_beside(url, name), place.with_name(name), files)


def _fetch_file(url: str, place: Path, found: Stat, files: Files) -> None:
    files.get(url, place)
    got = place.stat().st_size
    if found.size is not None and got != found.size:
        raise CorruptCheckpointError(
            url, f"the download ended after {got} of {found.size} bytes; load it again"
        )


def _fetch_beside(url: str, place: Path, files: Files) -> None:
    """Manifest and companion."""
    manifest = sidecar.place_of(place)
    there = _beside(url, manifest.name)
    found = files.stat(there)
    if found is None:
        return
    _fetch_file(there, manifest, found, files)
    for name in _companions(place, manifest):
        if (found := files.stat(_beside(url, name))) is not None:
            _fetch_file(_beside(url, name), place.with_name(name), found, files)
            return


def _companions(place: Path, manifest: Path) -> list[str]:
    """What the companion may be called; none where the manifest cannot be read, which is told."""
    try:
        kept = Manifest.from_json(manifest.read_text("utf-8")).companion
        if kept is None:
            return []
        companion.located(place, kept.name)  # refuses what is not a name
        return companion.names_for(place, kept.name)
    except (KerasguardError, ValueError):
        return []


def _is_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _plain(url: str) -> str:
    """Without what a web server is told besides the place."""
    return url.partition("?")[0] if _is_web(url) else url


def _folder(url: str) -> str:
    folder = _plain(url).rstrip("/").rpartition("/")[0]
    return f"{folder}/" if folder.endswith(":/") else folder


def inside(folder: str, name: str) -> str:
    """The address of what lies in a folder."""
    name = quote(name) if _is_web(folder) else name
    return f"{folder}{name}" if folder.endswith("://") else f"{folder.rstrip('/')}/{name}"


def _beside(url: str, name: str) -> str:
    return inside(_folder(url), name)


@contextmanager
def _asking(url: str, done: str) -> Iterator[None]:
    """Whatever a file system raises, as an error that names the address."""
    try:
        yield
    except KerasguardError:
        raise
    except FileNotFoundError as error:
        raise CheckpointNotFoundError(url, f"no such file ({error!s:.200})") from error
    except Exception as error:
        raise CheckpointError(
            url,
            f"could not be {done} ({type(error).__name__}: {error!s:.500}); check the address and "
            "the credentials",
        ) from error
