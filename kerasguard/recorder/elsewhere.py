"""A save to an address: written and recorded on this machine, then sent with its manifest.

Keras writes most of what it saves to an address in pieces of its own making; what it would write
there is written into a private folder instead, surveyed there, and sent as a whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kerasguard.errors import CheckpointError
from kerasguard.storage import durable, remote, shards
from kerasguard.storage.file_system import Files

__all__ = ["brought_here", "files_at", "sent_to"]


def files_at(url: str) -> Files:
    """What writes to an address; raises as `remote.files_at`."""
    if url.startswith("hf://"):
        raise CheckpointError(url, "Keras makes a repository of it; record the folder instead")

    def through_keras(url: str) -> Files | None:
        from kerasguard.models import gfile

        return gfile.files_at(url)

    return remote.files_at(url, through_keras)


@contextmanager
def sent_to(url: str, files: Files) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Where to write what goes to an address, and what sends it, if anything was written."""
    with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
        place = Path(folder, remote.name_of(url))

        def send() -> None:
            written = [path for path in place.parent.iterdir() if not path.name.startswith(".")]
            listing = place.with_name(shards.listing_name(place.name))
            if place not in written and listing in written:
                remote.send(listing, shards.listing_name(url), files)
            elif written:
                remote.send(place, url, files)

        try:
            yield place, send
        except Exception as error:
            durable.rename_in(error, {place: url})
            raise


@contextmanager
def brought_here(url: str, files: Files) -> Iterator[tuple[Path, Callable[[], None]]]:
    """The checkpoint at an address on this machine, and what sends what came beside it."""
    with remote.fetched(url, files) as place:
        before = set(place.parent.rglob("*"))
        yield place, lambda: remote.send(place, url, files, leave=before)
