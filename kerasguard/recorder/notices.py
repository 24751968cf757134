"""What a user is told after a save of what the checkpoint cannot restore."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerasguard.errors import listed
from kerasguard.manifest import Manifest
from kerasguard.recorder.unwritten_state import lost

__all__ = ["printed_as", "warn_of"]


def warn_of(path: Path, manifest: Manifest) -> None:
    """Warn of everything that the checkpoint lacks; the caller's caller is the one to blame."""
    for message in (*_unwritten(manifest), *_unequal(manifest), *_unbuilt(manifest)):
        warnings.warn(f"{path}: {message}", UserWarning, stacklevel=3)


def _unwritten(manifest: Manifest) -> Iterator[str]:
    gone = lost(manifest.unwritten)
    if gone:
        yield (
            f"Keras did not write {len(gone)} of the model's variables, and kerasguard cannot keep "
            f"them ({listed(gone, 5)}); they cannot be restored from this checkpoint. Hold their "
            "layers in an attribute, list, tuple or dict."
        )


def _unequal(manifest: Manifest) -> Iterator[str]:
    names = manifest.environment.get("unequal_replicas", ())
    if names:
        yield (
            f"the replicas of {listed(names, 5)} hold different values, and Keras saved the first "
            "replica's; BatchNormalization(synchronized=True) keeps them equal."
        )


def _unbuilt(manifest: Manifest) -> Iterator[str]:
    layers = manifest.table.layers.values()
    waiting = [r.name for r in layers if r.use is not None and not r.use.built]
    if waiting:
        yield (
            f"{listed(waiting, 5)}: never built, so the checkpoint holds no weights for them; to "
            "save them, first call the model on data that reaches them."
        )


class _Renaming:
    """Standard output, with one name in place of another."""

    def __init__(self, stream: Any, old: str, new: str) -> None:
        self._stream, self._old, self._new = stream, old, new

    def write(self, text: str) -> Any:
        return self._stream.write(text.replace(self._old, self._new))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def printed_as(given: str, staged: str) -> Iterator[None]:
    """Let what `export` prints tell the path that the caller knows."""
    if given == staged:
        yield
        return
    before = sys.stdout
    mine: Any = _Renaming(before, staged, given)
    sys.stdout = mine
    try:
        yield
    finally:
        if sys.stdout is mine:  # else somebody redirected it meanwhile
            sys.stdout = before
