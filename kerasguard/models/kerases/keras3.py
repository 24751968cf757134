"""Keras 3: what its objects are, with every name of it that is not public and that is read here.

Each function says what it expects of Keras' insides and what it does where they look otherwise.
What makes loading fast by putting something else in the place of Keras' own lies in
`models/fast_build.py` and `models/placeholders.py`.
"""

# private names are what this module is for

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerasguard.models.kerases.facts import Call, Habits
from kerasguard.models.kerases.keras3_saving import (
    attribute_skipset,
    loads_plainly,
    may_overwrite,
    object_type,
    save_targets,
    saveable_class,
    stored,
)

__all__ = [
    "FUNCTIONAL_ARGUMENTS",
    "INTERNAL",
    "HABITS",
    "LAYER",
    "METRIC",
    "MODEL",
    "NAME",
    "OPTIMIZER",
    "SEQUENTIAL",
    "SYMBOLIC",
    "VARIABLE",
    "attribute_skipset",
    "backend",
    "call_of",
    "compiled_with",
    "custom_objects",
    "devices",
    "dtype_policy",
    "flatten",
    "functions",
    "is_tensor",
    "layer_class",
    "leaf",
    "loads_plainly",
    "may_overwrite",
    "object_type",
    "operations",
    "optimizer_is_built",
    "own_state",
    "pack",
    "part_classes",
    "path",
    "save_targets",
    "saveable_class",
    "scoped_objects",
    "serialize",
    "sharing_scope",
    "slot_name",
    "stored",
    "sublayers",
    "to_numpy",
    "to_tensor",
    "trained_by",
    "version",
]

NAME = "keras"
HABITS = Habits()
LAYER: Any = keras.Layer
MODEL: Any = keras.Model
SEQUENTIAL: Any = keras.Sequential
OPTIMIZER: Any = keras.optimizers.Optimizer
METRIC: Any = keras.metrics.Metric
# The class of every Keras variable; up to Keras 3.4 `keras.Variable` is a subclass of it.
VARIABLE: Any = keras.src.backend.Variable
SYMBOLIC: Any = keras.KerasTensor
FUNCTIONAL_ARGUMENTS: tuple[str, ...] = ("self", "inputs", "outputs", "name")
INTERNAL: frozenset[str] = frozenset()


def version() -> str:
    """Of this process' Keras."""
    return str(keras.__version__)


def backend() -> str:
    """What Keras 3 computes with."""
    return str(keras.backend.backend())


def layer_class(name: str) -> Any:
    """The class in `keras.layers`."""
    return getattr(keras.layers, name, ())


def functions(module: str) -> Any:
    """A public module of functions."""
    return getattr(keras, module)


def part_classes() -> tuple[type, ...]:
    """The classes that models are made of; layers and models are operations."""
    return (
        keras.Operation,
        keras.constraints.Constraint,
        keras.initializers.Initializer,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.regularizers.Regularizer,
        keras.DTypePolicy,
    )


def custom_objects() -> Mapping[str, Any]:
    """What `keras.saving.register_keras_serializable` was given."""
    found: Mapping[str, Any] = keras.saving.get_custom_objects()
    return found


def scoped_objects() -> dict[str, Any]:
    """Of the `keras.saving.custom_object_scope` that is open."""
    from keras.src.backend.common import global_state

    return dict(global_state.get_global_attribute("custom_objects_scope_dict", {}) or {})


def dtype_policy() -> str:
    """Name of the policy in force."""
    return str(keras.config.dtype_policy().name)


def own_state(layer: Any) -> tuple[list[Any], list[Any]]:
    """Seeds and other variables of the layer itself, without those of the layers in it.

    Falls back to its public `variables` without those of the layers that `sublayers` tells.
    """
    seeds = [generator.state for generator in getattr(layer, "_seed_generators", ())]
    lists = [getattr(layer, f"_{n}_variables", None) for n in ("trainable", "non_trainable")]
    if None not in lists:
        return seeds, [variable for one in lists for variable in one or ()]
    others = {id(v) for one in sublayers(layer) for v in one.variables} | {id(s) for s in seeds}
    return seeds, [variable for variable in layer.variables if id(variable) not in others]


def sublayers(layer: Any) -> list[Any]:
    """All layers that a layer tracks, also those that its saving passes by."""
    return [one for one in getattr(layer, "_layers", ()) if isinstance(one, keras.Layer)]


def trained_by(optimizer: Any, among: Sequence[Any]) -> list[Any]:
    """The list that an optimizer keeps."""
    return list(getattr(optimizer, "_trainable_variables", ()))


def optimizer_is_built(optimizer: Any) -> bool:
    """As it says itself."""
    return bool(optimizer.built)


def slot_name(variable: Any, weight: Any) -> str:
    """What the variable's name adds to the weight's path; empty where it does not start so.

    Keras keeps the colons of a path; only of names without a path it replaces them.
    """
    slashed = path(weight).replace("/", "_")
    for prefix in (slashed + "_", slashed.replace(":", "_") + "_"):
        if variable.name.startswith(prefix):
            return str(variable.name[len(prefix) :])
    return ""


def leaf(variable: Any) -> str:
    """Its name."""
    return str(variable.name)


def path(variable: Any) -> str:
    """Its path."""
    return str(getattr(variable, "path", variable.name))


def serialize(item: Any) -> Any:
    """As in a `.keras` file."""
    return keras.saving.serialize_keras_object(item)


def flatten(structure: Any) -> list[Any]:
    """In the order of `keras.tree.flatten`."""
    return list(keras.tree.flatten(structure))


def pack(structure: Any, leaves: Sequence[Any]) -> Any:
    """As `keras.tree.pack_sequence_as`."""
    return keras.tree.pack_sequence_as(structure, leaves)


def is_tensor(value: Any) -> bool:
    """Of any backend."""
    return bool(keras.ops.is_tensor(value))


def to_tensor(value: Any) -> Any:
    """As `keras.ops.convert_to_tensor`."""
    return keras.ops.convert_to_tensor(value)


def to_numpy(value: Any) -> Any:
    """As `keras.ops.convert_to_numpy`, and an array."""
    return np.asarray(keras.ops.convert_to_numpy(value))


def devices() -> list[str]:
    """As `keras.distribution.list_devices`."""
    return list(keras.distribution.list_devices())


def sharing_scope() -> contextlib.AbstractContextManager[Any]:
    """Where layers that are shared between models are read and written as one.

    Falls back to no scope, under which a shared layer is two layers.
    """
    try:
        from keras.src.saving.serialization_lib import ObjectSharingScope
    except ImportError:
        return contextlib.nullcontext()
    return ObjectSharingScope()  # type: ignore[no-any-return]


def compiled_with(model: Any) -> dict[str, Any] | None:
    """The arguments that a model was compiled with, which its next save writes; None without."""
    config = getattr(getattr(model, "_compile_config", None), "config", None)
    return config if isinstance(config, dict) else None


def operations(model: Any) -> list[Any]:
    """Those of a functional model."""
    return list(model.operations)


def call_of(node: Any) -> Call:
    """Of a node of a functional model."""
    told = node.arguments
    return Call(
        node.operation, list(node.input_tensors), list(node.outputs), told.args, told.kwargs
    )
