"""Starting Keras and its backend without what TensorFlow tells of graphics cards on the way."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

__all__ = ["started"]


def started(module: str, *, debug: bool = False) -> Any:
    """A module of kerasguard that needs Keras, with Keras.

    Args:
        module: `kerasguard.guard`.
        debug: let everybody say what they want.

    Raises:
        MissingPackageError: Keras or its backend is not installed.
        ArgumentError: the environment names no backend of Keras.
    """
    importlib.import_module("kerasguard.models")  # says what to install where Keras is missing
    found = importlib.import_module(module)
    if not debug and "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _silent():
            importlib.import_module("kerasguard.models.kerases")  # which says what it lacks
    return found


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep back what goes to stderr; it is told after all if the block fails.

    The variable above silences most of it. What TensorFlow's C++ writes before it has read that
    goes past Python, to the descriptor.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as told:
        os.dup2(told.fileno(), 2)
        try:
            yield
        except BaseException:
            _restore(kept)
            told.seek(0)
            sys.stderr.write(told.read().decode("utf-8", "replace"))
            raise
        _restore(kept)


def _restore(kept: int) -> None:
    sys.stderr.flush()
    os.dup2(kept, 2)
    os.close(kept)
