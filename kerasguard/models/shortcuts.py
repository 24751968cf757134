"""Every name of Keras that is not public and that kerasguard reads.

Each function says what it expects of Keras' insides and what it does where they look otherwise.
What makes loading fast by putting something else in the place of Keras' own lies in
`keras_fast_build.py` and `keras_placeholders.py`.
"""

# ruff: noqa: SLF001  # private names are what this module is for

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras

__all__ = [
    "GraphCall",
    "Variable",
    "Tensor",
    "attribute_skipset",
    "compiled_with",
    "own_attributes",
    "graph_calls",
    "graph_ends",
    "graph_outputs",
    "made_by",
    "object_type",
    "own_state",
    "saveable_class",
    "set_compiled_optimizer",
    "sharing_scope",
    "sublayers",
]

Variable = keras.src.backend.Variable
"""The class of every Keras variable; up to Keras 3.4 `keras.Variable` is a subclass of it."""

Tensor = tuple[Any, int, int]
"""A symbolic tensor: the operation that made it, in which call, as which output."""

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


def own_attributes(item: Any) -> dict[str, Any]:
    """The object's own attributes by name; torch keeps the layers among a layer's elsewhere."""
    own = vars(item) if hasattr(item, "__dict__") else {}
    modules = own.get("_modules")
    return {**own, **modules} if isinstance(modules, dict) else dict(own)


def attribute_skipset(kind: str) -> frozenset[str]:
    """Names of the attributes that Keras' saving does not follow in an object of this kind.

    Keras makes a throwaway object to find them, each time; here they are found once.
    """
    with _lock:
        if kind not in _skipsets:
            _skipsets[kind] = frozenset(_keras_skipset(kind))
        return _skipsets[kind]


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


def set_compiled_optimizer(model: Any, optimizer: Any) -> None:
    """Let the compile arguments, where there are any, name the optimizer that the model has."""
    config = compiled_with(model)
    if config is not None:
        config["optimizer"] = optimizer


class GraphCall(NamedTuple):
    """One call in a Functional model: the tensors it was given, and all of its arguments."""

    tensors: list[Tensor]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


def graph_calls(model: Any) -> list[list[GraphCall]]:
    """Per operation of a Functional model, its calls inside this model.

    A call's number counts only the calls inside this model, as in the model's config.
    """
    numbers = _call_numbers(model)
    result = []
    for operation in model.operations:
        nodes = [operation._inbound_nodes[index] for index in numbers[id(operation)]]
        calls = [
            GraphCall(
                [_numbered(tensor, numbers) for tensor in node.input_tensors],
                node.arguments.args,
                node.arguments.kwargs,
            )
            for node in nodes
        ]
        result.append([call for call in calls if call.tensors])
    return result


def graph_outputs(model: Any) -> list[Tensor]:
    """The output tensors of a Functional model, in the order of its flat outputs."""
    return graph_ends(model)[1]


def graph_ends(model: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The input and the output tensors of a Functional model, in the order of its flat ones."""
    numbers = _call_numbers(model)
    first, last = ([_numbered(t, numbers) for t in ends] for ends in (model.inputs, model.outputs))
    return first, last


def made_by(tensor: Any) -> tuple[Any, list[Any]]:
    """The operation that made a tensor of a graph, and the tensors that it was given for it."""
    operation, call, _ = tensor._keras_history
    return operation, list(operation._inbound_nodes[call].input_tensors)


def _call_numbers(model: Any) -> dict[int, dict[int, int]]:
    """By operation, from the number of a call anywhere to its number inside `model`."""
    inside = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    numbers = {}
    for operation in model.operations:
        indices = [i for i, node in enumerate(operation._inbound_nodes) if id(node) in inside]
        numbers[id(operation)] = {index: number for number, index in enumerate(indices)}
    return numbers


def _numbered(tensor: Any, numbers: dict[int, dict[int, int]]) -> Tensor:
    operation, call, index = tensor._keras_history
    return operation, numbers.get(id(operation), {}).get(call, call), index
