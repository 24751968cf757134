"""What a layer, an optimizer, a variable or a model is: in Keras 3, and in tf_keras.

The only place where kerasguard asks. A process may hold both Kerases, and which one an object is
of is decided by the object alone, whatever `TF_USE_LEGACY_KERAS` says: `of` finds it, and what it
returns answers every question of `facts.Keras`. tf_keras is never imported for the sake of
asking: an object of it exists only where somebody has imported it.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

from kerasguard.errors import ArgumentError, MissingPackageError

try:
    from kerasguard.models.kerases import keras3
except ModuleNotFoundError as error:
    if error.name not in ("tensorflow", "jax", "torch"):
        raise
    raise MissingPackageError(
        f"Keras is to run on {error.name}, which is not installed: pip install "
        f"'kerasguard[{error.name}]', or name one that is: KERAS_BACKEND=jax in the environment"
    ) from error
except ValueError as error:
    named = os.environ.get("KERAS_BACKEND", "")
    if "backend" not in str(error):
        raise
    raise ArgumentError(
        f"KERAS_BACKEND={named!r:.40} in the environment is no backend of Keras ({error}); "
        "allowed: 'tensorflow', 'jax', 'torch'"
    ) from error
from kerasguard.models.kerases.facts import Habits, Keras

__all__ = [
    "KERAS3",
    "Habits",
    "Keras",
    "dtype_name",
    "is_a",
    "is_foreign",
    "is_layer",
    "is_metric",
    "is_model",
    "is_optimizer",
    "is_symbolic",
    "is_variable",
    "of",
    "own_attributes",
    "present",
    "stock_modules",
    "variables_of",
]

KERAS3: Keras = keras3
stock_modules = ("keras.", "tf_keras.")
"""How the names of the modules of either Keras begin."""

_owners: WeakKeyDictionary[type, Keras] = WeakKeyDictionary()


def present(*, imported: bool = True) -> tuple[Keras, ...]:
    """Keras 3, and tf_keras where this process has imported it.

    Args:
        imported: or, if False, where it is installed and TensorFlow is at work, so that somebody
            may import it yet; it is imported then.
    """
    if not imported and "tf_keras" not in sys.modules:
        asked = "tensorflow" in sys.modules or "TF_USE_LEGACY_KERAS" in os.environ
        if asked and find_spec("tf_keras") is not None:
            importlib.import_module("tf_keras")
    legacy = _legacy()
    return (keras3,) if legacy is None else (keras3, legacy)


def of(item: object) -> Keras:
    """The Keras that an object belongs to; what belongs to none is taken for Keras 3's."""
    legacy = _legacy()
    if legacy is None:
        return keras3  # and not for good: somebody may import tf_keras yet
    found = _owners.get(type(item))
    if found is not None:
        return found
    named = type(item).__module__.startswith("tf_keras.")
    found = legacy if named or isinstance(item, legacy.saveable_class()) else keras3
    _owners[type(item)] = found
    return found


def _legacy() -> Keras | None:
    module = sys.modules.get("tf_keras")
    if module is None or not hasattr(module, "Model"):  # or somebody is importing it
        return None
    from kerasguard.models.kerases import legacy

    return legacy


def is_layer(item: Any) -> bool:
    """Whether it is a layer; models are."""
    return isinstance(item, of(item).LAYER)


def is_model(item: Any) -> bool:
    """Whether it is a model."""
    return isinstance(item, of(item).MODEL)


def is_optimizer(item: Any) -> bool:
    """Whether it is an optimizer that saves its own state."""
    return isinstance(item, of(item).OPTIMIZER)


def is_metric(item: Any) -> bool:
    """Whether it is a metric."""
    return isinstance(item, of(item).METRIC)


def is_symbolic(item: Any) -> bool:
    """Whether it is a tensor of a graph, without elements."""
    return isinstance(item, of(item).SYMBOLIC)


def is_a(layer: Any, name: str) -> bool:
    """Whether it is of the class of `keras.layers` with this name."""
    return isinstance(layer, of(layer).layer_class(name))


def is_variable(value: Any, owner: Any) -> bool:
    """Whether it is a variable as its owner's Keras makes them.

    Args:
        value: anything.
        owner: the layer or optimizer that holds it. A variable of TensorFlow's own is one of
            tf_keras', and inside a layer of Keras 3 one that Keras does not know.
    """
    return isinstance(value, of(owner).VARIABLE)


def is_foreign(item: Any) -> bool:
    """Whether the class is a user-defined model, of neither Keras."""
    return not type(item).__module__.startswith(stock_modules)


def own_attributes(item: Any) -> dict[str, Any]:
    """The object's own attributes by name; torch keeps the layers among a layer's elsewhere."""
    own = vars(item) if hasattr(item, "__dict__") else {}
    modules = own.get("_modules")
    return {**own, **modules} if isinstance(modules, dict) else dict(own)


def variables_of(holder: Any) -> list[Any]:
    """The variables of a model or optimizer; no tables, which tf_keras lists among them."""
    found = holder.variables
    # A list of its own kind, which can be called, and of before Keras 2.11 a method.
    return [v for v in (found() if callable(found) else found) if hasattr(v, "assign")]


def dtype_name(dtype: Any) -> str:
    """A dtype of a variable, a tensor or an array as a string of Keras."""
    return dtype if isinstance(dtype, str) else str(getattr(dtype, "name", dtype))
