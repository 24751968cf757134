"""Variables that are going to be filled do not run their initialiser.

Inside `skip_initialisers` a variable that would be initialised gets a placeholder instead: a
tensor over zeroed memory that all of them share and nobody writes. Whoever reads such a variable
before it is filled sees what the initialiser makes, since it is run then; whoever assigns to it
has filled it. What is left at the end gets its real initial value from `Skipped.fill`.
"""

# ruff: noqa: SLF001  # a variable is not public while it is being made

from __future__ import annotations

import functools
import gc
import math
import mmap
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from kerasguard.integrations import keras_variables
from kerasguard.integrations.keras_patches import Patch, PatchSet
from kerasguard.tensors import Array, numpy_dtype

__all__ = ["Skipped", "skip_initialisers"]

Initialiser = Callable[[], Any]

_COLLECT_FROM = 1 << 20
"""Bytes of leftovers from which it pays to look whether anybody still holds them."""


_SMALLEST = 1 << 16


class Skipped:
    """The variables that hold a placeholder, and the initialisers that they did not run."""

    def __init__(self) -> None:
        self._pending: dict[int, tuple[weakref.ref[Any], Initialiser]] = {}
        self._zeros: Array = np.zeros(0, np.uint8)
        self._tensors: dict[tuple[tuple[int, ...], str], Any] = {}

    def __len__(self) -> int:
        return sum(self._alive(key) is not None for key in self._pending)

    def hold(
        self, variable: Any, shape: tuple[int, ...], dtype: str, initialiser: Initialiser
    ) -> Any:
        """A placeholder for a new variable; None where there can be none."""
        tensor = self._placeholder(shape, dtype)
        if tensor is not None:
            self._pending[id(variable)] = (weakref.ref(variable), initialiser)
        return tensor

    def settle(self, variable: Any) -> Initialiser | None:
        """The variable gets a value of its own now; its initialiser, if it did not run."""
        entry = self._pending.pop(id(variable), None)
        return entry[1] if entry is not None and entry[0]() is variable else None

    def fill(self, except_variables: Iterable[Any] = ()) -> None:
        """Run the initialisers of all variables that are still in use, but for these.

        Args:
            except_variables: those that were assigned meanwhile.
        """
        filled = {id(variable) for variable in except_variables}
        for key in list(self._pending):
            if key in filled or self._alive(key) is None:
                del self._pending[key]
        if self._bytes_left() >= _COLLECT_FROM:
            gc.collect(0)  # layers that were built and dropped on the way are garbage in a cycle
        for key in list(self._pending):
            variable = self._alive(key)
            initialiser = self._pending.pop(key)[1]
            if variable is not None:
                variable.assign(initialiser())
        self._tensors.clear()

    def _alive(self, key: int) -> Any:
        return self._pending[key][0]()

    def _bytes_left(self) -> int:
        alive = (self._alive(key) for key in self._pending)
        return sum(
            math.prod(v.shape) * numpy_dtype(v.dtype).itemsize for v in alive if v is not None
        )

    def _placeholder(self, shape: tuple[int, ...], dtype: str) -> Any:
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
            self._tensors[key] = keras_variables.alias(array)
        return self._tensors[key]


@contextmanager
def skip_initialisers(*, enabled: bool = True) -> Iterator[Skipped]:
    """Inside, variables that this thread creates get placeholders; call `fill` afterwards.

    Other threads are not affected. Without the TensorFlow backend, or where Keras' variables
    are not made as expected, nothing is skipped.
    """
    skipped = Skipped()
    if not enabled or keras.backend.backend() != "tensorflow":
        yield skipped
        return
    before = getattr(_active, "skipped", None)
    installed = _patches.install()
    try:
        _active.skipped = skipped if installed else None
        yield skipped
    finally:
        _active.skipped = before
        _patches.remove()


_active = threading.local()


def _current() -> Skipped | None:
    return getattr(_active, "skipped", None)


def _initialising(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def initialise_with(self: Any, initializer: Any) -> None:
        skipped = _current()
        if skipped is not None and _eager():
            shape, dtype = self._shape, self._dtype
            make = functools.partial(initializer, shape, dtype=dtype)
            tensor = skipped.hold(self, tuple(shape), dtype, make)
            if tensor is not None:
                self._initialize(tensor)
                return
        original(self, initializer)

    return initialise_with


def _assigning(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def assign(self: Any, value: Any) -> None:
        skipped = _current()
        if skipped is not None:
            skipped.settle(self)
        original(self, value)

    return assign


def _reading(original: property) -> property:
    get = original.fget
    assert get is not None

    def value(self: Any) -> Any:
        skipped = _current()
        if skipped is not None and _eager():
            make = skipped.settle(self)
            if make is not None:
                self.assign(make())
        return get(self)

    return property(value, original.fset, original.fdel, original.__doc__)


def _eager() -> bool:
    import tensorflow as tf

    return bool(tf.executing_eagerly())


def _zeroed(size: int) -> Array:
    """Aligned zeros that take no room until they are written, which they never are."""
    if hasattr(mmap, "MAP_PRIVATE"):
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(pages, np.uint8)
    raw = np.zeros(size + keras_variables.ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % keras_variables.ALIGNMENT
    zeros: Array = raw[start : start + size]
    return zeros


def _owner(name: str) -> Any:
    """The class behind `keras.Variable` that defines the attribute."""
    return next((cls for cls in keras.Variable.__mro__ if name in vars(cls)), keras.Variable)


_patches = PatchSet(
    [
        Patch(_owner("_initialize_with_initializer"), "_initialize_with_initializer", _initialising),
        Patch(_owner("_direct_assign"), "_direct_assign", _assigning),
        Patch(_owner("value"), "value", _reading, lambda found: isinstance(found, property)),
    ]
)
