"""What Keras 3's saving follows, stores and offers to be called."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras

from kerasguard.models.kerases.facts import Target

__all__ = [
    "attribute_skipset",
    "loads_plainly",
    "may_overwrite",
    "object_type",
    "save_targets",
    "saveable_class",
    "default_quantisation",
    "stored",
    "undistributed",
]

OPTIMIZER: Any = keras.optimizers.Optimizer
_METHODS = ("save", "save_weights", "export")
_FUNCTIONS = ("save_model", "save_weights")
# Private: what the public functions call. Wrapped to see callers who hold those by name.
_INNER = (
    ("keras.src.saving.saving_lib", "save_model"),
    ("keras.src.saving.saving_lib", "save_weights_only"),
    ("keras.src.legacy.saving.legacy_h5_format", "save_model_to_hdf5"),
)
_skipsets: dict[str, frozenset[str]] = {}
_lock = threading.Lock()


def saveable_class() -> type | tuple[type, ...]:
    """The classes of everything that Keras' saving follows: `KerasSaveable`.

    Falls back to what is public and has state: layers, optimizers, metrics and losses.
    """
    bases: tuple[type, ...] = keras.Layer.__mro__
    found = tuple(base for base in bases if base.__name__ == "KerasSaveable")
    public = (keras.Layer, keras.optimizers.Optimizer, keras.metrics.Metric, keras.losses.Loss)
    return found or public


def object_type(item: Any) -> str:
    """How Keras' saving treats the object: `Functional`, `Sequential`, `Layer`, `Optimizer`..."""
    kind = getattr(item, "_obj_type", None)
    if callable(kind):
        return str(kind())
    for name, cls in _public_kinds().items():
        if isinstance(item, cls):
            return name
    return "Operation"


def attribute_skipset(kind: str) -> frozenset[str]:
    """Names of the attributes that Keras' saving does not follow in an object of this kind.

    Keras makes a throwaway object to find them, each time; here they are found once.
    """
    with _lock:
        if kind not in _skipsets:
            with undistributed():
                _skipsets[kind] = frozenset(_keras_skipset(kind))
        return _skipsets[kind]


@contextlib.contextmanager
def undistributed() -> Iterator[None]:
    """What is made inside lies on this process' own device.

    A variable on a mesh over several processes is made by all of them together, and Keras' saving
    makes one: the throwaway optimizer that tells it which attributes to pass by.
    """
    module = sys.modules.get("keras.src.distribution.distribution_lib")
    active = None if module is None else module.distribution()
    if module is None or active is None:
        yield
        return
    module.set_distribution(None)
    try:
        yield
    finally:
        module.set_distribution(active)


def _keras_skipset(kind: str) -> set[str]:
    try:
        from keras.src.saving.saving_lib import get_attr_skipset
    except ImportError:
        return _derived_skipset(kind)
    return set(get_attr_skipset(kind))


def _derived_skipset(kind: str) -> set[str]:
    """The same from public classes: what a plain object of the kind has as attributes."""
    makers: dict[str, Callable[[], Any]] = {
        "Operation": keras.Operation,
        "Metric": keras.metrics.Metric,
        "Optimizer": lambda: keras.optimizers.Optimizer(1.0),
        "Loss": keras.losses.Loss,
    }
    names = {"_self_unconditional_dependency_names", *dir(makers.get(kind, keras.Layer)())}
    if kind == "Functional":
        names |= {"operations", "_operations"}
    elif kind == "Sequential":
        names |= {"_functional"}
    elif kind == "Optimizer":
        names.discard("variables")
    return names


def _public_kinds() -> dict[str, type]:
    return {
        "Sequential": keras.Sequential,
        "Layer": keras.Layer,
        "Optimizer": keras.optimizers.Optimizer,
        "Metric": keras.metrics.Metric,
        "Loss": keras.losses.Loss,
    }


def stored(item: Any) -> dict[str, Any] | None:
    """What `save_own_variables` gives; Keras' own optimizers store a copy of each variable."""
    if not hasattr(item, "save_own_variables"):
        return {}
    saving = keras.optimizers.Optimizer.save_own_variables
    if isinstance(item, OPTIMIZER) and type(item).save_own_variables is saving:
        return {str(index): value for index, value in enumerate(item.variables)}
    store: dict[str, Any] = {}
    try:
        item.save_own_variables(store)
    except Exception:
        if type(item).save_own_variables is keras.Layer.save_own_variables:
            raise
        return None
    if any(value is None for value in store.values()):
        return _with_scales(item, store)
    return store


def _with_scales(item: Any, store: dict[str, Any]) -> dict[str, Any]:
    """What the layer loads in the places where it stores None.

    A quantised layer whose policy is a map asks the map's default for its mode (Keras 3.15.1), so
    that it stores no scales, although it has some and loads them.
    """
    names = getattr(item, "variable_serialization_spec", {}).get(item.quantization_mode, ())
    own = [value for name in names if (value := getattr(item, name, None)) is not None]
    return {
        key: own[int(key)] if value is None and key.isdigit() and int(key) < len(own) else value
        for key, value in store.items()
    }


def default_quantisation(item: Any) -> Any:
    """The config of the quantisation that a layer without one does; None where there is none."""
    make = getattr(keras.quantizers, "Int8QuantizationConfig", None)
    if make is None or getattr(item, "quantization_mode", None) != "int8":
        return None
    return keras.saving.serialize_keras_object(make())


def loads_plainly(item: Any) -> bool:
    """So it is where Keras' own code loads and nothing is quantised.

    That is, provided that what is stored are variables; everything else gets its
    `load_own_variables` called.
    """
    load = getattr(type(item), "load_own_variables", None)
    if load is None or load is keras.Layer.load_own_variables or isinstance(item, OPTIMIZER):
        return load is None or _is_stock(load)
    flags = ("finalize_state", "quantization_mode", "lora_enabled")
    return _is_stock(load) and not any(getattr(item, flag, None) for flag in flags)


def _is_stock(method: Any) -> bool:
    return str(getattr(method, "__module__", "")).startswith("keras.")


def save_targets() -> Iterator[Target]:
    """Methods, functions of both public modules, and what those call."""
    public = keras.saving.save_model.__module__
    yield from ((keras.Model, name, "") for name in _METHODS)
    yield from ((m, name, "") for m in (keras.saving, keras.models) for name in _FUNCTIONS)
    for module, name in _INNER:
        with contextlib.suppress(ImportError):
            yield importlib.import_module(module), name, public


def may_overwrite(filepath: Any) -> bool:
    """As Keras asks; the staging folder that it writes to has nothing to ask about."""
    prompts = importlib.import_module("keras.src.utils.io_utils")
    return bool(prompts.ask_to_proceed_with_overwrite(filepath))
