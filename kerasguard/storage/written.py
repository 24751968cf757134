"""What a save has written, under whichever name the writer chose."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kerasguard.storage import durable

__all__ = ["decisive", "index_of", "listing_of", "signatures"]


def listing_of(path: Path) -> Path:
    """What Keras writes instead of `m.weights.h5` where it is asked to shard: a list of shards."""
    return path.with_name(re.sub(r"\.weights\.h5$", ".weights.json", path.name))


def index_of(path: Path) -> Path:
    """What decides of a checkpoint of TensorFlow's, whose prefix is no file's name."""
    return Path(f"{path}.index")


def decisive(path: Path) -> Path | None:
    """The file or folder by which a reader finds what was written to `path`; None: nothing was.

    An empty folder is nothing: a save makes one before it fills it.
    """
    found = next((p for p in (path, listing_of(path), index_of(path)) if os.path.lexists(p)), None)
    if found is not None and found.is_dir() and not any(found.iterdir()):
        return None
    return found


def signatures(path: Path) -> tuple[object, ...]:
    """What tells whether a save to `path` has written anything there, under any of its names."""
    return tuple(map(durable.signature, (path, listing_of(path), index_of(path))))
