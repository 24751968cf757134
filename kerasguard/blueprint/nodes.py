"""The calls of a functional model in the form that Keras 3 writes.

A call is `{"args": [...], "kwargs": {...}}`; a tensor in it is an object `__keras_tensor__` whose
history names the layer that made it, which of that layer's calls, and which of the outputs.
Keras 3 reads nothing but the history when it rebuilds a graph, so shape and dtype stay open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kerasguard.blueprint.objects import Json, replace_all

__all__ = [
    "History",
    "calls_of",
    "call_of",
    "history_of",
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
