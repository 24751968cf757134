"""The calls of a functional model in the form that Keras 3 writes.

A call is `{"args": [...], "kwargs": {...}}`; a tensor in it is an object `__keras_tensor__` whose
history names the layer that made it, which of that layer's calls, and which of the outputs.
Keras 3 reads nothing but the history when it rebuilds a graph, so shape and dtype stay open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kerasguard.blueprint.objects import Json, name_of, replace_all

__all__ = [
    "History",
    "calls_of",
    "call_of",
    "free_name",
    "history_of",
    "insert_after",
    "insert_before",
    "is_graph",
    "layers_of",
    "map_histories",
    "tensor",
    "tensors_in",
]

History = tuple[str, int, int]


def tensor(layer: str, call: int = 0, output: int = 0) -> Json:
    """The `output`-th tensor of the `call`-th call of a layer."""
    config = {"shape": [], "dtype": "float32", "keras_history": [layer, call, output]}
    return {"class_name": "__keras_tensor__", "config": config}


def history_of(value: object) -> History | None:
    """Where a tensor comes from; None for what is not a tensor."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        layer, call, output = value["config"]["keras_history"]
        return str(layer), int(call), int(output)
    return None


def tensors_in(value: object) -> Iterator[History]:
    """Every tensor inside a call, in order."""
    history = history_of(value)
    if history is not None:
        yield history
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)


def map_histories(value: Any, change: Callable[[History], History]) -> Any:
    """A copy of a call in which every tensor comes from elsewhere."""

    def rewire(part: Any) -> Any:
        history = history_of(part)
        if history is None:
            return part
        config = {**part["config"], "keras_history": list(change(history))}
        return {**part, "config": config}

    return replace_all(value, rewire)


def is_graph(model: Json) -> bool:
    """Whether a config is that of a functional model, not of a Sequential one."""
    return "input_layers" in model and "output_layers" in model


def layers_of(model: Json) -> list[Json]:
    """The layers of a model's config, in order."""
    layers = model.get("layers")
    return layers if isinstance(layers, list) else []


def calls_of(layer: Json) -> list[Json]:
    """The calls of a layer of a functional model; none for an input or in a Sequential model."""
    calls: list[Json] = layer.get("inbound_nodes") or []
    return calls


def call_of(*args: Any, **kwargs: Any) -> Json:
    """A call of a layer."""
    return {"args": list(args), "kwargs": kwargs}


def free_name(model: Json, wanted: str) -> str:
    """`wanted`, with a number where a layer of the model already has that name."""
    taken = {name_of(layer) for layer in layers_of(model)}
    name, number = wanted, 0
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def insert_before(model: Json, layer: Json, new: Json) -> None:
    """Put `new` between a layer and its input: the layer gets what `new` makes of it.

    The layer's calls must have one tensor as their only positional argument.
    """
    position = layers_of(model).index(layer)
    if is_graph(model):
        new["name"] = name_of(new)
        new["inbound_nodes"] = [call_of(call["args"][0]) for call in calls_of(layer)]
        for number, call in enumerate(calls_of(layer)):
            call["args"][0] = tensor(name_of(new), number)
    model["layers"].insert(position, new)


def insert_after(model: Json, layer: Json, new: Json) -> None:
    """Put `new` behind a layer with one output: whoever took that output gets `new`'s instead."""
    old, name = name_of(layer), name_of(new)
    position = layers_of(model).index(layer)
    if is_graph(model):

        def rewire(history: History) -> History:
            return (name, *history[1:]) if history[0] == old else history

        for other in layers_of(model):
            other["inbound_nodes"] = [map_histories(call, rewire) for call in calls_of(other)]
        model["output_layers"] = _rename_outputs(model["output_layers"], old, name)
        new["name"] = name
        new["inbound_nodes"] = [call_of(tensor(old, n)) for n in range(len(calls_of(layer)))]
    model["layers"].insert(position + 1, new)


def _rename_outputs(outputs: Any, old: str, new: str) -> Any:
    """`output_layers` in which `new` takes the place of `old`."""

    def change(part: Any) -> Any:
        if isinstance(part, list) and len(part) == 3 and part[0] == old:
            return [new, *part[1:]]
        return part

    return replace_all(outputs, change)
