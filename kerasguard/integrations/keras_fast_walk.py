"""Give Keras' saving the cache that it looks for and never fills.

For every object that it saves, Keras 3 asks which attributes not to follow, and makes a throwaway
layer to find out: it keeps the answer, but under another name than it looks it up by.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kerasguard.integrations.keras_shortcuts import attribute_skipset

__all__ = ["fast_walk"]

_KINDS = ("Operation", "Layer", "Functional", "Sequential", "Metric", "Optimizer", "Loss")


@contextlib.contextmanager
def fast_walk() -> Iterator[None]:
    """For the length of a block, and in this thread, the answers lie where Keras looks for them.

    They are Keras' own. Where Keras looks elsewhere, or the module is gone, nothing changes but
    that saving stays as slow as it was.
    """
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
