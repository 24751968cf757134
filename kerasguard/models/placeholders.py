"""Variables that are going to be filled do not run their initialiser.

Inside `skip_initialisers` a variable that would be initialised gets a placeholder instead: a
tensor over zeroed memory that all of them share and nobody writes. Whoever reads such a variable
before it is filled sees what the initialiser makes, since it is run then; whoever assigns to it
has filled it. What is left at the end gets its real initial value from `Skipped.fill`.
"""

from __future__ import annotations

import functools
import gc
import math
import mmap
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import keras
import numpy as np

from kerasguard.models import variables as keras_variables
from kerasguard.models.patches import Patch, PatchSet
from kerasguard.tensors.elements import Array, numpy_dtype

__all__ = ["Skipped", "shortcuts", "skip_initialisers", "skipped_of", "wait"]

Initialiser = Callable[[], Any]

_COLLECT_FROM = 1 << 20
"""Bytes of seemingly unused variables from which it pays to look whether they are."""


_SMALLEST = 1 << 16


_INITIALISE = "_initialize_with_initializer"
_INITIALISER = "_kerasguard_initialiser"
"""Attribute of a waiting variable. Were the initialisers kept here, they would keep layers alive
that were built and dropped on the way."""


class Skipped:
    """The variables that hold a placeholder, and the initialisers that they did not run.

    `initialised` has the ids of those that `fill` has given what their initialisers make.
    """

    def __init__(self) -> None:
        self.initialised: set[int] = set()
        self._pending: dict[int, weakref.ref[Any]] = {}
        self._zeros: Array = np.zeros(0, np.uint8)
        self._tensors: dict[tuple[tuple[int, ...], str], Any] = {}

    def __len__(self) -> int:
        return len(self._waiting())

    def hold(
        self, variable: Any, shape: tuple[int, ...], dtype: str, initialiser: Initialiser
    ) -> Any:
        """A placeholder for a new variable; None where there can be none."""
        tensor = self._placeholder(shape, dtype)
        if tensor is not None:
            self._pending[id(variable)] = weakref.ref(variable)
            setattr(variable, _INITIALISER, initialiser)
        return tensor

    def settle(self, variable: Any) -> Initialiser | None:
        """The variable gets a value of its own now; its initialiser, if it did not run."""
        reference = self._pending.pop(id(variable), None)
        if reference is None or reference() is not variable:
            return None
        initialiser: Initialiser = vars(variable).pop(_INITIALISER)
        return initialiser

    def fill(self, except_variables: Iterable[Any] = ()) -> None:
        """Run the initialisers of all variables that are still in use, but for these.

        Args:
            except_variables: those that were, or are just going to be, assigned.
        """
        for variable in except_variables:
            self.settle(variable)
        for variable in self._waiting():
            initialiser = self.settle(variable)
            if initialiser is not None:
                variable.assign(initialiser())
                self.initialised.add(id(variable))
        self._pending.clear()
        self._tensors.clear()

    def drop_unreachable(self, reachable: Iterable[Any]) -> None:
        """Let go of the variables of layers that were built and dropped on the way.

        Garbage in a cycle looks like a variable in use, and would be initialised. This is to be
        called before the objects of the build have grown old for the garbage collector.

        Args:
            reachable: variables that are known to be in use.
        """
        known = {id(variable) for variable in reachable}
        others = [variable for variable in self._waiting() if id(variable) not in known]
        size = sum(math.prod(v.shape) * numpy_dtype(v.dtype).itemsize for v in others)
        del others
        if size >= _COLLECT_FROM:
            gc.collect(0)

    def _waiting(self) -> list[Any]:
        variables = [reference() for reference in self._pending.values()]
        return [variable for variable in variables if variable is not None]

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
_models: weakref.WeakKeyDictionary[Any, Skipped] = weakref.WeakKeyDictionary()


def wait(model: Any, skipped: Skipped) -> None:
    """Remember that the model's variables wait for values."""
    _models[model] = skipped


def skipped_of(model: Any) -> Skipped | None:
    """What was skipped when the model was built, until it is filled for the first time."""
    return _models.pop(model, None)


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
        caller = sys._getframe(1)  # noqa: SLF001  # CPython
        if skipped is not None and _eager() and not _only_placing(caller):
            make = skipped.settle(self)
            if make is not None:
                self.assign(make())
        return get(self)

    return property(value, original.fset, original.fdel, original.__doc__)


def _only_placing(caller: FrameType) -> bool:
    """Whether an optimizer being built asks for the variable's identity or device.

    It looks at no element; everybody else might.
    """
    module = caller.f_globals.get("__name__")
    return module == "keras.src.backend.tensorflow.optimizer" and (
        caller.f_code.co_name in ("add_variable_from_reference", "_var_key")
    )


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
        Patch(_owner(_INITIALISE), _INITIALISE, _initialising),
        Patch(_owner("_direct_assign"), "_direct_assign", _assigning),
        Patch(_owner("value"), "value", _reading, lambda found: isinstance(found, property)),
    ]
)


def shortcuts() -> dict[str, bool]:
    """By the name in Keras that they replace, whether the shortcuts fit the installed Keras."""
    return _patches.fitting()
