"""A checkpoint and its manifest, seen at one moment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kerasguard.storage import durable

__all__ = ["undisturbed"]


@contextlib.contextmanager
def undisturbed(checkpoint: Path) -> Iterator[None]:
    """Nothing is moved into the checkpoint's place as long as the block runs.

    A save takes the place of checkpoint, companion and manifest one after the other; whoever reads
    the manifest and opens the files in such a block has those of one save. What is open stays as it
    is when the block ends. On a file system without locks the block runs unprotected.
    """
    folder = Path(os.path.realpath(checkpoint)).parent
    with durable.locked(folder, shared=True):
        yield
