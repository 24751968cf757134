"""The graph of a model's layers, models inside it taken apart, and how layers stand to each other.

Names play no part here. `Graph.of` turns the records of a table into one flat graph of calls, so
that a layer stands at the same place whether or not a model was put around it; `Graph.seen` says of
every layer which of some known layers it is reached from and which it reaches, argument by
argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from kerasguard.tensors import Ends, LayerRecord

__all__ = ["Call", "Graph", "Seen"]

# A layer and which of its calls.
Call = tuple[str, int]
# A call and which of its outputs.
Output = tuple[Call, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a layer sees of the known layers; bit i of a mask stands for known layer i.

    Args:
        above: by argument, the layers that it is reached from, for each of its calls, in no
            order of their own; a call of nothing (a Sequential's first layer) sees what a call of
            one unknown tensor does.
        below: the layers that are reached from it.
        arguments: a bit per (layer, argument) that it reaches.
    """

    above: tuple[tuple[int, ...], ...]
    below: int
    arguments: int


@dataclass(frozen=True)
class Graph:
    """A flat graph of calls.

    Args:
        layers: the records of its layers, in graph order.
        sources: by call, the calls whose outputs are its arguments.
        outputs: by call, which outputs of its sources are its arguments.
        order: of the calls, each after its sources; calls on a cycle are left out.
        users: by call, the calls that it is an argument of, and of which number.
        ends: by model that lies in no other, the outputs of calls that are its inputs, and those
            that are its outputs, in order; None for one that is not known.
    """

    layers: Mapping[str, LayerRecord]
    sources: Mapping[Call, Sequence[Call]]
    order: Sequence[Call]
    users: Mapping[Call, Sequence[tuple[Call, int]]] = field(repr=False)
    outputs: Mapping[Call, Sequence[int]] = field(default_factory=dict, repr=False)
    ends: Mapping[str, tuple[tuple[Output | None, ...], ...]] = field(default_factory=dict)

    @staticmethod
    def of(layers: Mapping[str, LayerRecord], ends: Mapping[str, Ends] | None = None) -> Graph:
        """The graph of a table's layers; those whose calls are unknown are not part of it.

        Args:
            layers: of the table.
            ends: of the models in it; where they are not told, a model inside has the layers that
                no other takes as outputs, and its inputs in the order of its layers.
        """
        known = {key: layer for key, layer in layers.items() if layer.inbound is not None}
        flat = _Flat(known, ends or {})
        users: dict[Call, list[tuple[Call, int]]] = {call: [] for call in flat.sources}
        for call, sources in flat.sources.items():
            for argument, source in enumerate(sources):
                users[source].append((call, argument))
        own = {key: known[key] for key, _ in flat.sources}
        whole = {
            model: tuple(
                tuple(flat.source((key, call), tensor, ("", 0)) for key, call, tensor in tensors)
                for tensors in both
            )
            for model, both in (ends or {}).items()
            if model not in known
        }
        order = _topological(flat.sources, users)
        return Graph(own, flat.sources, order, users, flat.outputs, whole)

    def seen(self, known: Mapping[str, int], bits: dict[tuple[int, int], int]) -> dict[str, Seen]:
        """How every layer stands to the layers in `known`, which gives each a number.

        Args:
            known: numbers by layer.
            bits: by (number, argument), a bit; shared between graphs that are compared, filled as
                needed.
        """
        above: dict[Call, int] = {}
        below: dict[Call, int] = {}
        arguments: dict[Call, int] = {}
        for call in self.order:
            mask = 1 << known[call[0]] if call[0] in known else 0
            for source in self.sources[call]:
                mask |= above.get(source, 0)
            above[call] = mask
        for call in reversed(self.order):
            mask = reached = 0
            for user, argument in self.users[call]:
                mask |= below.get(user, 0)
                reached |= arguments.get(user, 0)
                number = known.get(user[0])
                if number is not None:
                    mask |= 1 << number
                    reached |= 1 << bits.setdefault((number, argument), len(bits))
            below[call], arguments[call] = mask, reached
        calls: dict[str, list[Call]] = {}
        for call in self.sources:
            calls.setdefault(call[0], []).append(call)
        return {
            key: Seen(
                tuple(sorted(tuple(above.get(s, 0) for s in self.sources[c]) or (0,) for c in own)),
                reduce(or_, (below.get(c, 0) for c in own)),
                reduce(or_, (arguments.get(c, 0) for c in own)),
            )
            for key, own in calls.items()
        }


class _Flat:
    """Takes models inside a model apart; `sources` and `outputs` are the result."""

    def __init__(self, layers: Mapping[str, LayerRecord], ends: Mapping[str, Ends]) -> None:
        self.layers = layers
        self.inside: dict[str, list[str]] = {}
        for key in layers:
            around = _around(key)
            self.inside.setdefault(around if around in layers else "", []).append(key)
        self.inputs = {
            model: [k for k in keys if layers[k].class_name == "InputLayer"]
            for model, keys in self.inside.items()
        }
        self.last: dict[str, Sequence[tuple[str, int | None, int]]] = {
            model: [(key, None, 0) for key in _last(keys, layers)]
            for model, keys in self.inside.items()
        }
        for model in ends.keys() & self.inside.keys():
            first, last = ends[model]
            self.inputs[model] = [key for key, _, _ in first]
            self.last[model] = last
        self.given: dict[Call, list[Output]] = {}
        taken: dict[Call, list[Output]] = {}
        self.take_apart("", 0, taken)
        kept = {call: [o for o in outputs if o[0] in taken] for call, outputs in taken.items()}
        self.sources = {call: [source for source, _ in found] for call, found in kept.items()}
        self.outputs = {call: [output for _, output in found] for call, found in kept.items()}

    def take_apart(self, model: str, number: int, taken: dict[Call, list[Output]]) -> None:
        """Collect the calls inside a model, for its own call of this number."""
        for key in self.inside.get(model, ()):
            calls = self.layers[key].inbound or ()
            if model and key in self.inputs[model]:
                continue
            if not calls and key not in self.inside:
                taken[key, number] = []
            for index, call in enumerate(calls):
                found = (self.source((k, i), t, (model, number)) for k, i, t in call)
                sources = [s for s in found if s is not None]
                if model and not call and not self.inputs[model]:  # first layer of a Sequential
                    sources = list(self.given.get((model, number), ()))[:1]
                at = (key, number * len(calls) + index)
                if key in self.inside:
                    self.given[at] = sources
                    self.take_apart(*at, taken)
                else:
                    taken[at] = sources

    def source(self, call: Call, tensor: int, around: Call) -> Output | None:
        """What makes a tensor in the flat graph; None where that is not told."""
        key, index = call
        model, number = around
        if key not in self.layers:
            return None
        if model and key in self.inputs[model]:
            given, place = self.given.get(around, ()), self.inputs[model].index(key)
            return given[place] if place < len(given) else None
        at = (key, number * max(len(self.layers[key].inbound or ()), 1) + index)
        if key not in self.inside:
            return at, tensor
        ends = self.last[key]
        if not ends:
            return None
        end, which, output = ends[min(tensor, len(ends) - 1)]
        if which is None:  # the last
            which = max(len(self.layers[end].inbound or ()), 1) - 1
        return self.source((end, which), output, at)


def _around(key: str) -> str:
    """The model that a layer lies in: of `layers/functional/layers/dense`, `layers/functional`."""
    for container in ("/layers/", "/operations/"):
        head, found, _ = key.rpartition(container)
        if found:
            return head
    return ""


def _last(keys: Sequence[str], layers: Mapping[str, LayerRecord]) -> list[str]:
    """Layers whose outputs no other layer of the same model takes."""
    used = {k for key in keys for call in layers[key].inbound or () for k, _, _ in call if k != key}
    return [key for key in keys if key not in used]


def _topological(
    sources: Mapping[Call, Sequence[Call]], users: Mapping[Call, Sequence[tuple[Call, int]]]
) -> list[Call]:
    """Calls with every call after its sources; calls on a cycle are left out."""
    waiting = {call: len(found) for call, found in sources.items()}
    ready = [call for call, count in waiting.items() if count == 0]
    order: list[Call] = []
    while ready:
        call = ready.pop()
        order.append(call)
        for user, _ in users[call]:
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    return order
