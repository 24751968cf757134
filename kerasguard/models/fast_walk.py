"""What Keras' saving does again and again, done once.

For every object that it saves, Keras 3 asks which attributes not to follow, and makes a throwaway
layer to find out: it keeps the answer, but under a different name than it looks it up by. It makes
two copies of every variable before HDF5 makes its own. The file is the same, byte for byte.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from kerasguard.models.kerases.keras3 import attribute_skipset
from kerasguard.models.patches import Patch, PatchSet
from kerasguard.models.variables import in_place

__all__ = ["fast_walk"]


class _Active(threading.local):
    """Whether this thread is inside `fast_walk`."""

    depth = 0


_active = _Active()
_KINDS = ("Operation", "Layer", "Functional", "Sequential", "Metric", "Optimizer", "Loss")


@contextlib.contextmanager
def fast_walk() -> Iterator[None]:
    """For the length of a block, and in this thread, the answers lie where Keras looks for them.

    They are Keras' own, and so are the values that are written. Where Keras looks elsewhere, or
    a module is gone, nothing changes but that saving stays as slow as it was.
    """
    with _cached_skipsets(), _fewer_copies():
        yield


@contextlib.contextmanager
def _cached_skipsets() -> Iterator[None]:
    try:
        from keras.src.backend.common import global_state
    except ImportError:
        yield
        return
    names = {kind: f"saving_attr_skiplist_{kind}" for kind in _KINDS}
    mine = [k for k, name in names.items() if global_state.get_global_attribute(name) is None]
    for kind in mine:
        with contextlib.suppress(ValueError):  # not every Keras tells all kinds apart
            global_state.set_global_attribute(names[kind], set(attribute_skipset(kind)))
    try:
        yield
    finally:
        for kind in mine:
            global_state.set_global_attribute(names[kind], None)


@contextlib.contextmanager
def _fewer_copies() -> Iterator[None]:
    _WRITING.install()
    _active.depth += 1
    try:
        yield
    finally:
        _active.depth -= 1
        _WRITING.remove()


def _setting(original: Callable[[Any, str, Any], None]) -> Callable[[Any, str, Any], None]:
    """HDF5 takes the bytes from where they lie."""

    @functools.wraps(original)
    def set_item(self: Any, key: str, value: Any) -> None:
        original(self, key, in_place(value) if _active.depth else value)

    return set_item


def _patches() -> list[Patch]:
    """Of the class that takes a layer's arrays: the store itself, or in older Keras an entry."""
    try:
        from keras.src.saving import saving_lib
    except ImportError:
        return []
    found = (getattr(saving_lib, name, None) for name in ("H5IOStore", "H5Entry"))
    owners = (cls for cls in found if "__setitem__" in getattr(cls, "__dict__", {}))
    return [Patch(cls, "__setitem__", _setting) for cls in owners]


_WRITING = PatchSet(_patches())
