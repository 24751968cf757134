"""Which of a live model's layers and operations are called on which, whatever its config tells."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from kerasguard.blueprint.architecture import unique_name
from kerasguard.models.kerases import is_layer, is_model, of
from kerasguard.models.kerases.graphs import GraphCall, graph_calls, graph_ends
from kerasguard.models.walk import Visit
from kerasguard.tensors import Ends, snake_case

__all__ = [
    "calls_of",
    "ends_of",
    "has_graph",
    "is_graph",
    "operation_keys",
    "operations_of",
    "shared_places",
]


def ends_of(visits: Sequence[Visit]) -> dict[str, Ends]:
    """Inputs and outputs of every functional model among `visits`, by its path."""
    found: dict[str, Ends] = {}
    keys = {id(visit.object): visit.path for visit in visits}
    for visit in visits:
        model = visit.object
        if has_graph(model) and of(model).object_type(model) != "Sequential":
            here = keys | operation_keys(operations_of(model), visit.path)
            first, last = (
                tuple((here[id(o)], i, j) for o, i, j in tensors) for tensors in graph_ends(model)
            )
            found[visit.path] = first, last
    return found


def shared_places(visits: Sequence[Visit]) -> dict[str, str]:
    """By the key of a place, the path of the layer there, which is in another model before it."""
    found: dict[str, str] = {}
    paths = {id(visit.object): visit.path for visit in visits}
    for visit in visits:
        if has_graph(visit.object):
            used: dict[str, int] = {}
            for layer in visit.object.layers:
                name = unique_name(snake_case(type(layer).__name__), used)
                place = "/".join(filter(None, (visit.path, "layers", name)))
                if paths.get(id(layer), place) != place:
                    found[place] = paths[id(layer)]
    return found


def is_graph(model: Any) -> bool:
    """Whether the model's config spells out its layers."""
    if not is_model(model):
        return False
    keras = of(model)
    kind = keras.object_type(model)
    cls: Any = type(model)
    if kind == "Sequential":
        return bool(cls.get_config is keras.SEQUENTIAL.get_config)
    stock = next((base for base in cls.__mro__ if base.__name__ == kind == "Functional"), None)
    if stock is None or cls.get_config is not stock.get_config:
        return False
    arguments = inspect.getfullargspec(cls.__init__)
    passes_all = arguments.varargs is not None and arguments.varkw is not None
    return passes_all or tuple(arguments.args) == keras.FUNCTIONAL_ARGUMENTS


def has_graph(model: Any) -> bool:
    """Whether a model is made of calls on symbolic tensors, whatever its config spells out."""
    return is_model(model) and of(model).object_type(model) in ("Functional", "Sequential")


def operations_of(model: Any) -> list[Any]:
    """The layers and operations of a model that has a graph, in order."""
    return list(
        model.layers
        if of(model).object_type(model) == "Sequential"
        else of(model).operations(model)
    )


def operation_keys(operations: Sequence[Any], path: str) -> dict[int, str]:
    """The keys of those operations of a model that are not layers."""
    found, used = {}, dict[str, int]()
    for operation in operations:
        if not is_layer(operation):
            name = unique_name(snake_case(type(operation).__name__), used)
            found[id(operation)] = f"{path}/operations/{name}" if path else f"operations/{name}"
    return found


def calls_of(model: Any, operations: Sequence[Any]) -> list[list[GraphCall]]:
    """By operation, its calls inside the model; a layer of a Sequential is called on the one above.

    Args:
        model: that has a graph.
        operations: its own.
    """
    if of(model).object_type(model) != "Sequential":
        return graph_calls(model)
    tensors = [[(before, 0, 0)] if before else [] for before in [None, *operations[:-1]]]
    return [[GraphCall(given, (), {})] for given in tensors]
