"""Layers put into a model's graph, each in the time that it takes itself, however many there are.

Whoever puts in one layer for each of thousands must not go through all of them each time: a file
of a megabyte would take minutes.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from kerasguard.blueprint.nodes import (
    History,
    call_of,
    calls_of,
    is_graph,
    layers_of,
    map_histories,
    tensor,
    tensors_in,
)
from kerasguard.blueprint.objects import Json, name_of

__all__ = ["Edits", "free_name", "insert_after"]


class Edits:
    """The changes of one model.

    It knows names and calls from when it was made: in between, calls are changed through it only,
    or so that they refer to no more layers than before.

    Args:
        model: the config of the model.
    """

    def __init__(self, model: Json) -> None:
        self.model = model
        self._names = {name_of(layer) for layer in layers_of(model)}
        self._numbers: dict[str, int] = {}
        self._last = 0
        # By name of a layer: who may be called on what it makes, by identity, and the outputs.
        self._users: dict[str, dict[int, Json]] = {}
        self._outputs: dict[str, list[Any]] = {}
        if is_graph(model):
            for layer in layers_of(model):
                for name, _, _ in tensors_in(calls_of(layer)):
                    self._uses(layer, name)
            self._find_outputs(model["output_layers"])

    def free_name(self, wanted: str) -> str:
        """`wanted`, with a number where a layer of the model already has that name."""
        name, number = _free(wanted, self._names, self._numbers.get(wanted, 0))
        self._numbers[wanted] = max(0, number - 1)
        return name

    def add(self, layer: Json, place: int | None = None) -> None:
        """Put a layer with its calls into the list, at its end where no place is told."""
        self._names.add(name_of(layer))
        for name, _, _ in tensors_in(calls_of(layer)):
            self._uses(layer, name)
        layers = self.model["layers"]
        layers.insert(len(layers) if place is None else place, layer)

    def place_of(self, layer: Json) -> int:
        """Where a layer stands in the list; soon told where the one asked for last is near."""
        layers = layers_of(self.model)
        for step in range(len(layers) + self._last + 1):
            for near in (self._last + step, self._last - step):
                if 0 <= near < len(layers) and layers[near] is layer:
                    self._last = near
                    return near
        raise ValueError(f"{name_of(layer)} is not a layer of the model")

    def before(self, layer: Json, new: Json) -> None:
        """Put `new` between a layer and its input: the layer gets what `new` makes of it.

        The layer's calls must have one tensor as their only positional argument.
        """
        if is_graph(self.model):
            new["name"] = name_of(new)
            new["inbound_nodes"] = [call_of(call["args"][0]) for call in calls_of(layer)]
            for number, call in enumerate(calls_of(layer)):
                call["args"][0] = tensor(name_of(new), number)
            self._uses(layer, name_of(new))
        self.add(new, self.place_of(layer))

    def after(self, layer: Json, new: Json) -> None:
        """Put `new` behind a layer with one output: whoever took that output gets `new`'s."""
        old, name = name_of(layer), name_of(new)
        if is_graph(self.model):

            def rewire(history: History) -> History:
                return (name, *history[1:]) if history[0] == old else history

            for other in self._users.pop(old, {}).values():
                other["inbound_nodes"] = [map_histories(call, rewire) for call in calls_of(other)]
                self._uses(other, name)
            for end in self._outputs.pop(old, ()):
                end[0] = name
                self._outputs.setdefault(name, []).append(end)
            new["name"] = name
            new["inbound_nodes"] = [call_of(tensor(old, n)) for n in range(len(calls_of(layer)))]
        self.add(new, self.place_of(layer) + 1)

    def _uses(self, layer: Json, name: str) -> None:
        self._users.setdefault(name, {})[id(layer)] = layer

    def _find_outputs(self, value: Any) -> None:
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
            self._outputs.setdefault(value[0], []).append(value)
        elif isinstance(value, (list, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                self._find_outputs(item)


def free_name(model: Json, wanted: str) -> str:
    """As `Edits.free_name`, once."""
    return _free(wanted, {name_of(layer) for layer in layers_of(model)}, 0)[0]


def _free(wanted: str, taken: Set[str], number: int) -> tuple[str, int]:
    """A name that is not taken, and its number; the search goes on from one."""
    name = wanted
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name, number


def insert_after(model: Json, layer: Json, new: Json) -> None:
    """As `Edits.after`, once."""
    Edits(model).after(layer, new)
