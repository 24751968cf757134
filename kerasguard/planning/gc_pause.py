"""The garbage collector, told to wait.

Thousands of records and layers are made at once and all are kept. The collector looks through them
again and again for cycles to free, finds none, and what is linear no longer is.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing is collected meanwhile; afterwards the collector is as it was."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
