"""tf_keras, which is Keras 2 as it goes on beside Keras 3: what its objects are.

Imported only where the process has imported tf_keras, so that its objects can exist. It has what
`keras3` has, under the same names.
"""

# ruff: noqa: SLF001  # private names are what this module is for

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow.python.distribute.sharded_variable import ShardedVariable

from kerasguard.models.kerases.backends import parts
from kerasguard.models.kerases.facts import Call, Habits, Target

NAME = "tf_keras"
HABITS = Habits(nested=False, order="falling", recounts=False, sets=True)
LAYER: Any = tf_keras.layers.Layer
MODEL: Any = tf_keras.Model
SEQUENTIAL: Any = tf_keras.Sequential
OPTIMIZER: Any = tf_keras.optimizers.Optimizer
OLD_OPTIMIZER: Any = tf_keras.optimizers.legacy.Optimizer
METRIC: Any = tf_keras.metrics.Metric
VARIABLE: Any = (tf.Variable, ShardedVariable)
SYMBOLIC: Any = type(tf_keras.Input(()))
FUNCTIONAL_ARGUMENTS: tuple[str, ...] = ("self", "inputs", "outputs", "name", "trainable")

INTERNAL: frozenset[str] = frozenset(
    {"_train_counter", "_test_counter", "_predict_counter", "_steps_per_execution"}
)

_METHODS = ("save", "save_weights", "export")
# What the public functions call, wrapped to see callers who hold those by name.
_INNER = (
    ("saving.saving_lib", "save_model", "saving.saving_api"),
    ("saving.saving_lib", "save_weights_only", "saving.saving_api"),
    ("saving.legacy.save", "save_model", "saving.saving_api"),
    ("saving.legacy.save", "save_weights", "saving.saving_api"),
)
_SHORT = {
    "m": "momentum",
    "v": "velocity",
    "vhat": "velocity_hat",
    "u": "norm",
}


def version() -> str:
    """Of tf_keras."""
    return str(tf_keras.__version__)


def backend() -> str:
    """It has one only."""
    return "tensorflow"


def layer_class(name: str) -> Any:
    """The class in `tf_keras.layers`."""
    return getattr(tf_keras.layers, name, ())


def functions(module: str) -> Any:
    """A public module of functions."""
    return getattr(tf_keras, module)


def part_classes() -> tuple[type, ...]:
    """The classes that models are made of."""
    return (
        LAYER,
        tf_keras.constraints.Constraint,
        tf_keras.initializers.Initializer,
        tf_keras.losses.Loss,
        OPTIMIZER,
        tf_keras.optimizers.schedules.LearningRateSchedule,
        tf_keras.regularizers.Regularizer,
        tf_keras.mixed_precision.Policy,
    )


def custom_objects() -> Mapping[str, Any]:
    """What `tf_keras.saving.register_keras_serializable` was given."""
    found: Mapping[str, Any] = tf_keras.saving.get_custom_objects()
    return found


def scoped_objects() -> dict[str, Any]:
    """Of the `tf_keras.saving.custom_object_scope` that is open."""
    module = importlib.import_module("tf_keras.src.saving.object_registration")
    return dict(vars(getattr(module, "_THREAD_LOCAL_CUSTOM_OBJECTS", object())))


def saveable_class() -> tuple[type, ...]:
    """Metrics are layers here, and optimizers of before Keras 2.11 are not saved by themselves."""
    return (LAYER, OPTIMIZER, tf_keras.losses.Loss)


def object_type(item: Any) -> str:
    """By its class; a subclass of `Model` that is not a graph is a `Layer`."""
    if isinstance(item, METRIC):
        return "Metric"
    if isinstance(item, SEQUENTIAL):
        return "Sequential"
    if isinstance(item, MODEL) and hasattr(item, "_nodes_by_depth"):
        return "Functional"
    kinds = {"Layer": LAYER, "Optimizer": OPTIMIZER, "Loss": tf_keras.losses.Loss}
    return next((kind for kind, cls in kinds.items() if isinstance(item, cls)), "Operation")


def attribute_skipset(kind: str) -> frozenset[str]:
    """One list for all kinds of objects."""
    module = importlib.import_module("tf_keras.src.saving.saving_lib")
    return frozenset(module.ATTR_SKIPLIST)


def stored(item: Any) -> dict[str, Any] | None:
    """Variables where `save_own_variables` is tf_keras' own, which copies each of them."""
    saving = getattr(type(item), "save_own_variables", None)
    if saving is None:
        return {}
    if saving in (LAYER.save_own_variables, OPTIMIZER.save_own_variables):
        lists = item.variables if isinstance(item, OPTIMIZER) else own_state(item)[1]
        return {str(index): variable for index, variable in enumerate(lists)}
    store: dict[str, Any] = {}
    try:
        item.save_own_variables(store)
    except Exception:  # noqa: BLE001  # code of somebody's own may raise anything
        return None
    return store


def loads_plainly(item: Any) -> bool:
    """Where nothing overrides what only assigns."""
    load = getattr(type(item), "load_own_variables", None)
    return load in (None, LAYER.load_own_variables, OPTIMIZER.load_own_variables)


def own_state(layer: Any) -> tuple[list[Any], list[Any]]:
    """Generators keep their state only where a seed of Keras' own was set."""
    generator = getattr(getattr(layer, "_random_generator", None), "_generator", None)
    state = getattr(generator, "state", None)
    seeds = [state] if isinstance(state, tf.Variable) else []
    held = (
        *layer._trainable_weights,
        *layer._non_trainable_weights,
    )  # and handlers of vocabularies
    found = [_whole(variable) for variable in held if isinstance(variable, tf.Variable)]
    return seeds, list({id(variable): variable for variable in found}.values())


def _whole(variable: Any) -> Any:
    """What a variable is a part of; layers list the parts."""
    # Without `getattr`: a variable of several replicas reads itself to find an attribute.
    container = vars(variable).get("_sharded_container")
    return variable if container is None else container()


def sublayers(layer: Any) -> list[Any]:
    """All layers that it tracks."""
    return list(layer._flatten_layers(recursive=False, include_self=False))


def trained_by(optimizer: Any, among: Sequence[Any]) -> list[Any]:
    """An optimizer remembers its variables by an id of theirs."""
    known: Mapping[str, int] = getattr(optimizer, "_index_dict", None) or {}
    own = {getattr(part, "_unique_id", None): v for v in among for part in parts(v)}
    if not known.keys() <= own.keys():
        return []
    found = [own[key] for key in sorted(known, key=known.__getitem__)]
    return list({id(variable): variable for variable in found}.values())


def optimizer_is_built(optimizer: Any) -> bool:
    """As it notes for itself; the older ones make their slots as they go, and cannot be told to."""
    return isinstance(optimizer, OLD_OPTIMIZER) or bool(getattr(optimizer, "_built", False))


def slot_name(variable: Any, weight: Any) -> str:
    """Named `m/dense/kernel`; slots get the names of Keras 3, as those of files do."""
    name, whole = path(variable), path(weight)
    slot = name.removesuffix(f"/{whole}") if name.endswith(f"/{whole}") else ""
    slot = slot.rpartition("/")[2]
    return _SHORT.get(slot, slot)


def leaf(variable: Any) -> str:
    """Without the scopes in front of it."""
    return path(variable).rpartition("/")[2]


def path(variable: Any) -> str:
    """Without the number of its output; that of a part without the part's number, for the whole."""
    name = str(parts(variable)[0].name).partition(":")[0]
    return name.removesuffix("/part_0") if isinstance(variable, ShardedVariable) else name


def serialize(item: Any) -> Any:
    """As in a `.keras` file."""
    return tf_keras.saving.serialize_keras_object(item)


def sharing_scope() -> contextlib.AbstractContextManager[Any]:
    """As its saving opens."""
    module = importlib.import_module("tf_keras.src.saving.serialization_lib")
    scope: contextlib.AbstractContextManager[Any] = module.ObjectSharingScope()
    return scope


def flatten(structure: Any) -> list[Any]:
    """In the order of `tf.nest.flatten`."""
    return list(tf.nest.flatten(structure))


def pack(structure: Any, leaves: Sequence[Any]) -> Any:
    """As `tf.nest.pack_sequence_as`."""
    return tf.nest.pack_sequence_as(structure, list(leaves))


def is_tensor(value: Any) -> bool:
    """Of TensorFlow."""
    return bool(tf.is_tensor(value))


def to_tensor(value: Any) -> Any:
    """Of TensorFlow."""
    return tf.convert_to_tensor(value)


def compiled_with(model: Any) -> dict[str, Any] | None:
    """As `compile` noted it."""
    config = getattr(getattr(model, "_compile_config", None), "config", None)
    return config if isinstance(config, dict) else None


def operations(model: Any) -> list[Any]:
    """Operations are layers here."""
    return list(model.layers)


def call_of(node: Any) -> Call:
    """Of a node of a functional model."""
    made = tf.nest.flatten(node.outputs)
    return Call(node.layer, list(node.keras_inputs), made, node.call_args, node.call_kwargs)


def save_targets() -> Iterator[Target]:
    """Methods, functions of both public modules, and what those call."""
    yield from ((MODEL, name, "") for name in _METHODS)
    yield from ((m, "save_model", "") for m in (tf_keras.saving, tf_keras.models))
    for module, name, caller in _INNER:
        with contextlib.suppress(ImportError):
            where = importlib.import_module(f"tf_keras.src.{module}")
            if inspect.isfunction(vars(where).get(name)):
                yield where, name, f"tf_keras.src.{caller}"


def may_overwrite(filepath: Any) -> bool:
    """As tf_keras asks."""
    prompts = importlib.import_module("tf_keras.src.utils.io_utils")
    return bool(prompts.ask_to_proceed_with_overwrite(filepath))
