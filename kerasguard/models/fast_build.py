"""What Keras does again and again while it builds layers, done once.

For the thread inside `less_work` only, and only where Keras looks as expected; elsewhere and
otherwise Keras does what it always does. The result is the same model, which
`tests/models/test_build.py` holds against the stock one.
"""

# ruff: noqa: SLF001  # the names of Keras that are replaced are private

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any

import keras

from kerasguard.models.deep_graphs import without_recursion
from kerasguard.models.patches import Patch, PatchSet
from kerasguard.planning.gc_pause import uncollected

__all__ = ["less_work", "shortcuts"]

_PLAIN = frozenset({str, int, float, bool, type(None), FunctionType, MethodType})
_NO_TENSORS = _PLAIN | {dict, list, tuple, keras.KerasTensor}
_CONFIGURED = (keras.initializers.Initializer, keras.mixed_precision.DTypePolicy)


class _Active(threading.local):
    """This thread's state inside `less_work`; the caches live no longer than the outermost one."""

    depth = 0
    settable: dict[tuple[type, str], bool]
    signatures: dict[tuple[Any, bool, Any], Any]


_active = _Active()


@contextmanager
def less_work() -> Iterator[None]:
    """Build layers with less work in this thread; the garbage collector waits meanwhile."""
    for patches in _PATCHES:
        patches.install()
    if not _active.depth:
        _active.settable, _active.signatures = {}, {}
    _active.depth += 1
    try:
        with uncollected():
            yield
    finally:
        _active.depth -= 1
        if not _active.depth:
            _active.settable, _active.signatures = {}, {}
        for patches in _PATCHES:
            patches.remove()


_UNSET = object()


def _setting(original: Callable[[Any, str, Any], None]) -> Callable[[Any, str, Any], None]:
    """A layer looks at each value it is given for things to track; plain values are none."""
    hook = vars(_owner(keras.Layer, "_setattr_hook"))["_setattr_hook"]

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if _active.depth and type(value) in _PLAIN and "_tracker" in self.__dict__:
            cls = type(self)
            plain = _active.settable.get((cls, name))
            if plain is None:
                plain = _is_plain_attribute(cls, name) and cls._setattr_hook is hook
                _active.settable[cls, name] = plain
            if plain:
                # As TensorFlow does, nothing where the class has the very value for a default.
                if name in self.__dict__ or getattr(cls, name, _UNSET) is not value:
                    self.__dict__[name] = value
                return
        original(self, name, value)

    return set_attribute


def _is_plain_attribute(cls: type, name: str) -> bool:
    """Whether setting the attribute comes down to an entry in the object's dict."""
    return not hasattr(getattr(cls, name, None), "__set__") and not any(
        hasattr(vars(base).get(name), "__set__") for base in cls.__mro__
    )


class _Inspect:
    """The module `inspect`, which remembers the signatures of functions."""

    def __getattr__(self, name: str) -> Any:
        return getattr(inspect, name)

    @staticmethod
    def signature(item: Any) -> inspect.Signature:
        """As `inspect.signature`, from memory where it is the same function."""
        return _remembered(inspect.signature, item)  # type: ignore[no-any-return]

    @staticmethod
    def getfullargspec(item: Any) -> inspect.FullArgSpec:
        """As `inspect.getfullargspec`, from memory where it is the same function."""
        return _remembered(inspect.getfullargspec, item)  # type: ignore[no-any-return]


def _remembered(look: Callable[[Any], Any], item: Any) -> Any:
    bound = type(item) is MethodType
    function = item.__func__ if bound else item
    if not _active.depth or type(function) is not FunctionType or hasattr(item, "__signature__"):
        return look(item)
    key = (function, bound, look)
    found = _active.signatures.get(key)
    if found is None:
        found = _active.signatures[key] = look(item)
    return found


def _telling_tensors(original: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """TensorFlow takes long to tell that a string, or an initialiser, is not a tensor."""

    @functools.wraps(original)
    def is_tensor(x: Any) -> bool:
        if _active.depth and (type(x) in _NO_TENSORS or isinstance(x, _CONFIGURED)):
            return False
        return original(x)

    return is_tensor


def _adding(original: Callable[..., None]) -> Callable[..., None]:
    """A Sequential that is read from its config puts its graph together once, at the end."""
    code = keras.Sequential.from_config.__func__.__code__

    @functools.wraps(original)
    def add(self: Any, layer: Any, rebuild: bool = True) -> None:
        if _active.depth and sys._getframe(1).f_code is code:
            rebuild = False
        original(self, layer, rebuild=rebuild)

    return add


def _reading(original: Any) -> Any:
    """At the end of reading a Sequential its graph is put together, as if it had been all along."""
    function = original.__func__

    @functools.wraps(function)
    def from_config(cls: Any, config: Any, custom_objects: Any = None) -> Any:
        if not _active.depth or not isinstance(config, dict):
            return function(cls, config, custom_objects=custom_objects)
        shape = config.get("build_input_shape")
        config = {**config, "build_input_shape": None}
        model = function(cls, config, custom_objects=custom_objects)
        if model._layers and model._functional is None:
            model._maybe_rebuild()
        if not model._functional and shape and isinstance(shape, (tuple, list)):
            model.build(shape)
        return model

    return classmethod(from_config)


def _owner(cls: type, name: str) -> type:
    """The base of `cls` that defines the attribute."""
    return next((base for base in cls.__mro__ if name in vars(base)), cls)


def _module(name: str) -> Any:
    return sys.modules.get(name)


def _is_inspect(found: Any) -> bool:
    return found is inspect


def _adds_without_rebuilding(found: Any) -> bool:
    names = ("_maybe_rebuild", "_layers", "build")
    return "rebuild" in inspect.signature(found).parameters and all(
        hasattr(keras.Sequential, name) or name == "_layers" for name in names
    )


def _patch_sets() -> list[PatchSet]:
    inspecting = [
        PatchSet([Patch(module, "inspect", lambda _: _Inspect(), _is_inspect)])
        for module in map(_module, ("keras.src.ops.operation", "keras.src.layers.layer"))
        if module is not None
    ]
    sequential = PatchSet(
        [
            Patch(keras.Sequential, "add", _adding, _adds_without_rebuilding),
            Patch(
                keras.Sequential,
                "from_config",
                _reading,
                lambda found: isinstance(found, classmethod),
            ),
        ]
    )
    sets = [*inspecting, sequential, *without_recursion(lambda: _active.depth > 0)]
    if keras.backend.backend() == "tensorflow":
        sets.append(PatchSet([Patch(keras.Layer, "__setattr__", _setting)]))
        backend = _module("keras.src.backend")
        if backend is not None:
            sets.append(PatchSet([Patch(backend, "is_tensor", _telling_tensors)]))
    return sets


_PATCHES = _patch_sets()


def shortcuts() -> dict[str, bool]:
    """By the name in Keras that they replace, whether the shortcuts fit the installed Keras."""
    return {name: fits for patches in _PATCHES for name, fits in patches.fitting().items()}
