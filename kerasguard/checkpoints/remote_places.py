"""Where checkpoints may lie below an address, by names and first bytes; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Container, Iterator

from kerasguard.formats import FORMATS, candidates, may_begin
from kerasguard.storage.file_system import Files
from kerasguard.storage.remote import inside

__all__ = ["remote_places"]

_DEPTH = 64  # a place that contains itself ends somewhere


def remote_places(
    url: str, files: Files, skip: Container[str] = frozenset(), depth: int = _DEPTH
) -> Iterator[str]:
    """The addresses below a folder where a checkpoint may lie, in the order of their path.

    Args:
        url: of the folder.
        files: reads there.
        skip: addresses that are left out, with what is below them.
        depth: of folders that are looked into.
    """
    names = files.names(url)
    if url in skip or not depth:
        return
    if _whole(url, names, files):
        yield url
        return
    folders = set()
    for name in names:
        found = files.stat(inside(url, name))
        if found is not None and found.folder:
            folders.add(name)
    plain = [name for name in names if name not in folders]
    for name in candidates(plain):
        place = inside(url, name)
        if place not in skip and (name not in plain or may_begin(files.head(place, 16))):
            yield place
    for name in sorted(folders):
        if not name.startswith("."):
            yield from remote_places(inside(url, name), files, skip, depth - 1)


def _whole(url: str, names: list[str], files: Files) -> bool:
    """Whether a folder is one checkpoint."""
    for kind in FORMATS:
        marks = kind.traits.marks
        if marks and all(
            mark.partition("/")[0] in names and ("/" not in mark or files.stat(inside(url, mark)))
            for mark in marks
        ):
            return True
    return False
