"""The graph of a functional model, of either Keras: calls, tensors and ends."""

# ruff: noqa: SLF001  # both Kerases keep the graph in attributes of these names

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kerasguard.models.kerases import of

__all__ = ["GraphCall", "Tensor", "graph_calls", "graph_ends", "graph_outputs", "made_by"]

Tensor = tuple[Any, int, int]
"""A symbolic tensor: the operation that made it, in which call, as which output."""


class GraphCall(NamedTuple):
    """One call in a Functional model: the tensors it was given, and all of its arguments."""

    tensors: list[Tensor]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


def graph_calls(model: Any) -> list[list[GraphCall]]:
    """Per operation of a Functional model, its calls inside this model.

    A call's number counts only the calls inside this model, as in the model's config.
    """
    keras, numbers = of(model), _call_numbers(model)
    result = []
    for operation in keras.operations(model):
        told = (keras.call_of(operation._inbound_nodes[i]) for i in numbers[id(operation)])
        calls = [
            GraphCall([_numbered(t, numbers) for t in call.inputs], call.args, call.kwargs)
            for call in told
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
    return operation, of(operation).call_of(operation._inbound_nodes[call]).inputs


def _call_numbers(model: Any) -> dict[int, dict[int, int]]:
    """By operation, from the number of a call anywhere to its number inside `model`."""
    inside = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    numbers = {}
    for operation in of(model).operations(model):
        indices = [i for i, node in enumerate(operation._inbound_nodes) if id(node) in inside]
        numbers[id(operation)] = {index: number for number, index in enumerate(indices)}
    return numbers


def _numbered(tensor: Any, numbers: dict[int, dict[int, int]]) -> Tensor:
    operation, call, index = tensor._keras_history
    return operation, numbers.get(id(operation), {}).get(call, call), index
