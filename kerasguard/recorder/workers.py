"""Saves that several workers make: the chief's is recorded, the others' never take its place.

Every worker may have to call Keras' save for one of them to get its file. What a worker other than
the chief is told to write is kept away from the chief's path, and has no manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["announce", "is_chief", "is_chiefs", "put_aside", "together"]

_WAIT = 2.0
"""Seconds until a worker believes that the chief saves nothing to a path."""
_TEMPORARY = "workertemp_"
"""How the folders begin that Keras has its other workers write to, and deletes."""


def is_chief(model: Any) -> bool:
    """Whether this process is the only worker, or the one whose saves are recorded."""
    from kerasguard.models.kerases import workers

    return workers.is_chief(model)


def together(model: Any) -> bool:
    """Whether a save may need other workers, so that none can be repeated by one alone."""
    from kerasguard.models.kerases import workers

    return workers.channel(None, model) is not None


def announce(model: Any, place: Path) -> None:
    """Tell the other workers, where there are any, that the chief saves to this path."""
    from kerasguard.models.kerases import workers

    channel = workers.channel(None, model)
    if channel is not None:
        with contextlib.suppress(Exception):  # that it is told already, of a class of the engine's
            channel.put(_key(place), str(channel.rank))


def is_chiefs(model: Any, place: Path) -> bool:
    """Whether the chief saves to this path, too, on a disk that both may share."""
    from kerasguard.models.kerases import workers

    channel = workers.channel(None, model)
    if channel is None or place.parent.name.startswith(_TEMPORARY):
        return False
    return channel.get(_key(place), _WAIT) is not None


def _key(place: Path) -> str:
    return f"kerasguard/saved/{hashlib.sha256(str(place.absolute()).encode()).hexdigest()}"


@contextlib.contextmanager
def put_aside(url: str) -> Iterator[str]:
    """Where a worker other than the chief writes what it is told to save to an address.

    Keras' temporary folders, which it deletes itself, are left to it.
    """
    if any(part.startswith(_TEMPORARY) for part in url.split("/")):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
        yield str(Path(folder, url.rstrip("/").rpartition("/")[2] or "checkpoint"))
