"""Variables that are going to be filled do not run their initialiser.

Inside `skip_initialisers` a variable that would be initialised gets a placeholder instead. With
TensorFlow that is a tensor over zeroed memory that all of them share and nobody writes; with JAX
the variable has no value yet, as Keras has it for those that are created while it traces. Whoever
reads such a variable before it is filled sees what the initialiser makes, since it is run then;
whoever assigns to it has filled it. What is left at the end gets its real initial value from
`Skipped.fill`.
"""

from __future__ import annotations

import functools
import gc
import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import keras

from kerasguard.models.patches import Patch, PatchSet
from kerasguard.models.zeros import Zeros
from kerasguard.tensors.elements import numpy_dtype

__all__ = ["Skipped", "shortcuts", "skip_initialisers", "skipped_of", "wait"]

Initialise = Callable[[Any], None]
"""Gives the variable what its initialiser makes."""

_COLLECT_FROM = 1 << 20
"""Bytes of seemingly unused variables from which it pays to look whether they are."""


_in_stateless_scope = getattr(
    sys.modules.get("keras.src.backend.common.stateless_scope"), "in_stateless_scope", None
)

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
        self.zeros = Zeros()

    def __len__(self) -> int:
        return len(self._waiting())

    def hold(self, variable: Any, initialise: Initialise) -> None:
        """A new variable has a placeholder, and waits for its value."""
        self._pending[id(variable)] = weakref.ref(variable)
        setattr(variable, _INITIALISER, initialise)

    def settle(self, variable: Any) -> Initialise | None:
        """The variable gets a value of its own now; what initialises it, if that was not done."""
        reference = self._pending.pop(id(variable), None)
        if reference is None or reference() is not variable:
            return None
        initialise: Initialise = vars(variable).pop(_INITIALISER)
        return initialise

    def fill(self, except_variables: Iterable[Any] = ()) -> None:
        """Run the initialisers of all variables that are still in use, but for these.

        Args:
            except_variables: those that were, or are just going to be, assigned.
        """
        for variable in except_variables:
            self.settle(variable)
        for variable in self._waiting():
            initialise = self.settle(variable)
            if initialise is not None:
                initialise(variable)
                self.initialised.add(id(variable))
        self._pending.clear()
        self.zeros.clear()

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


@contextmanager
def skip_initialisers(*, enabled: bool = True) -> Iterator[Skipped]:
    """Inside, variables that this thread creates get placeholders; call `fill` afterwards.

    Other threads are not affected. With PyTorch, or where Keras' variables are not made as
    expected, nothing is skipped.
    """
    skipped = Skipped()
    if not enabled or keras.backend.backend() not in _PLACED:
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
        if skipped is not None and _is_eager():
            place = _PLACED[keras.backend.backend()]
            if place(skipped, self, initializer, original):
                return
        original(self, initializer)

    return initialise_with


def _placed_in_tensorflow(skipped: Skipped, variable: Any, initializer: Any, _: object) -> bool:
    shape, dtype = variable._shape, variable._dtype  # noqa: SLF001
    tensor = skipped.zeros.tensor(tuple(shape), dtype)
    if tensor is None:
        return False
    make = functools.partial(initializer, shape, dtype=dtype)
    skipped.hold(variable, lambda itself: itself.assign(make()))
    variable._initialize(tensor)  # noqa: SLF001
    return True


def _placed_in_jax(
    skipped: Skipped, variable: Any, initializer: Any, original: Callable[[Any, Any], None]
) -> bool:
    """As Keras has a variable that is created in a stateless scope; where it is to lie is known."""
    if _in_stateless_scope is None or hasattr(type(variable), "_value"):
        return False  # another Keras, or Flax' NNX: a property over a value of its own

    def initialise(itself: Any) -> None:
        itself._initializer = None  # noqa: SLF001
        original(itself, initializer)  # on the mesh, piece by piece

    variable._initialize_layout()  # noqa: SLF001
    variable._value, variable._initializer = None, initializer  # noqa: SLF001
    skipped.hold(variable, initialise)
    return True


_PLACED = {"tensorflow": _placed_in_tensorflow, "jax": _placed_in_jax}
"""By backend, what gives a variable a placeholder; False where it has none."""


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
        if skipped is not None and _is_eager() and not _only_placing(caller):
            initialise = skipped.settle(self)
            if initialise is not None:
                initialise(self)
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


def _is_eager() -> bool:
    """Whether elements are computed, and not only shapes inferred."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.executing_eagerly())
    return _in_stateless_scope is None or not _in_stateless_scope()


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
