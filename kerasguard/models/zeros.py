"""Tensors of TensorFlow over zeroed memory that all of them share and nobody writes."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np

from kerasguard.models.variables import ALIGNMENT, alias
from kerasguard.tensors.elements import Array, numpy_dtype

__all__ = ["Zeros"]

_SMALLEST = 1 << 16


class Zeros:
    """Hands out one tensor per shape and dtype."""

    def __init__(self) -> None:
        self._zeros: Array = np.zeros(0, np.uint8)
        self._tensors: dict[tuple[tuple[int, ...], str], Any] = {}

    def tensor(self, shape: tuple[int, ...], dtype: str) -> Any:
        """A tensor that takes no memory of its own; None where there can be none."""
        key = (shape, dtype)
        if key not in self._tensors:
            try:
                kind = numpy_dtype(dtype)
            except TypeError:
                return None
            size = math.prod(shape) * kind.itemsize
            if self._zeros.size < size:
                self._zeros = _zeroed(max(size, _SMALLEST))
            array = self._zeros[:size].view(kind).reshape(shape)
            self._tensors[key] = alias(array)
        return self._tensors[key]

    def clear(self) -> None:
        """Let go of the tensors."""
        self._tensors.clear()


def _zeroed(size: int) -> Array:
    """Aligned zeros that take no room until they are written, which they never are."""
    if hasattr(mmap, "MAP_PRIVATE"):
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(pages, np.uint8)
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    zeros: Array = raw[start : start + size]
    return zeros
