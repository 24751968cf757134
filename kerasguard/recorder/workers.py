"""Saves that several workers make: the chief's is recorded, the others' never take its place.

Every worker may have to call Keras' save for one of them to get its file. What a worker other than
the chief is told to write is kept away from the chief's path, and has no manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

__all__ = ["announce", "is_chiefs"]

_WAIT = 2.0
"""Seconds until a worker believes that the chief saves nothing to a path."""
_TEMPORARY = "workertemp_"
"""How the folders begin that Keras has its other workers write to, and deletes."""


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
