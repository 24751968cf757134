"""In which order of axes the layers of a live model see what was flattened in front of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from kerasguard.layouts import Rows
from kerasguard.models.kerases import is_layer, of
from kerasguard.models.kerases.facts import Call
from kerasguard.models.kerases.graphs import made_by
from kerasguard.models.walk import Visit

__all__ = [
    "CHANNELWISE",
    "MERGES",
    "PASSING",
    "UNKNOWN",
    "Image",
    "Reading",
    "State",
    "has_planes",
    "image_of",
    "rows_of",
]

PASSING = {
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "LeakyReLU",
    "Masking",
    "ReLU",
    "Rescaling",
}
MERGES = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"}
CHANNELWISE = {"BatchNormalization", "GroupNormalization", "Softmax"}
_BY_ROWS = {"Dense", "GRU", "LSTM", "SimpleRNN"}
_SPATIAL = re.compile(r"\w*([123])D(Transpose)?")


@dataclass(frozen=True, slots=True)
class Image:
    """A tensor with channels: sizes of its last axes with the channels at the end."""

    sizes: tuple[int, ...]
    first: bool


# What is known of a tensor: nothing that matters, an image, an image flattened.
State = Image | Rows | None
UNKNOWN = Rows(known=False)


def rows_of(model: Any, visits: Sequence[Visit]) -> dict[str, Rows]:
    """The order of the inputs of every layer with weights behind an image that was flattened.

    Args:
        model: of Keras; of one without a graph nothing is known.
        visits: of its walk.
    """
    found: dict[str, Rows] = {}
    Reading({id(visit.object): visit.path for visit in visits}, found).model(model, [])
    formats = {getattr(v.object, "data_format", "") for v in visits if has_planes(v.object)}
    if formats == {"channels_first"}:  # as the writer's; only a Flatten may differ
        return {key: rows for key, rows in found.items() if rows.known}
    return found


def has_planes(layer: Any) -> bool:
    """Whether it is a layer of lines, images or volumes: a convolution, a pooling."""
    return _SPATIAL.fullmatch(type(layer).__name__) is not None


@dataclass
class Reading:
    """What the graph of a model tells; `found` is the result.

    Args:
        keys: of the model's layers, by their ids.
        found: by key, the order of the inputs of each layer that this concerns.
    """

    keys: Mapping[int, str]
    found: dict[str, Rows]

    def model(self, model: Any, given: Sequence[State]) -> list[State]:
        """What is known of a graph's outputs, by what is known of its inputs."""
        if of(model).object_type(model) == "Sequential":
            model = getattr(model, "_functional", None) or model
        nodes = getattr(model, "_nodes_by_depth", None)
        if nodes is None or not hasattr(model, "outputs"):
            return [UNKNOWN]
        known: dict[int, State] = {
            id(tensor): state for tensor, state in zip(model.inputs, given, strict=False)
        }
        for depth in sorted(nodes, reverse=True):
            for node in nodes[depth]:
                call = of(model).call_of(node)
                if not call.inputs:
                    continue
                states = [known.get(id(tensor)) for tensor in call.inputs]
                made = self.call(call.operation, states, call)
                known.update((id(t), s) for t, s in zip(call.outputs, made, strict=False))
        return [known.get(id(tensor)) for tensor in model.outputs]

    def call(self, operation: Any, states: Sequence[State], node: Call) -> Sequence[State]:
        """What is known of what an operation makes."""
        if of(operation).object_type(operation) in ("Functional", "Sequential"):
            return self.model(operation, states)
        inner = operation.layer if type(operation).__name__ == "TimeDistributed" else operation
        state = self.made(inner, operation, states, node)
        return [state] * len(node.outputs)

    def made(self, layer: Any, outer: Any, states: Sequence[State], node: Call) -> State:
        """What is known of what a layer or operation makes; `outer` is it, or what wraps it."""
        kind, state, shape = type(layer).__name__, states[0], tuple(node.outputs[0].shape)
        image = image_of(layer, shape)
        if image is not None:
            if not isinstance(state, Image):
                self.shaped(node.inputs[0])
            return image
        if kind in PASSING or (kind in MERGES and len(set(states)) == 1):
            return state
        if kind == "Concatenate":
            return _joined(states, layer, shape)
        if isinstance(state, Image):
            return self.of_image(node, outer, state)
        if any(isinstance(s, (Image, Rows)) for s in states):
            if not is_layer(layer) or not layer.variables:
                return UNKNOWN
            rows = state if isinstance(state, Rows) and len(states) == 1 else UNKNOWN
            known = kind in _BY_ROWS or kind == "BatchNormalization"
            self.found[self.keys.get(id(outer), "")] = rows if known else UNKNOWN
            return rows if kind == "BatchNormalization" else None
        return None

    def shaped(self, tensor: Any) -> None:
        """Note the layer whose outputs were shaped into an image: its columns have an order."""
        reshaped = False
        while True:
            operation, given = made_by(tensor)
            kind = type(operation).__name__
            if kind == "Reshape":
                places = (size or 1 for size in tensor.shape[1:-1])
                reshaped = reshaped or prod(places) > 1
            elif kind not in PASSING | CHANNELWISE or not given:
                break
            tensor = given[0]
        if reshaped and is_layer(operation) and operation.variables:
            self.found.setdefault(self.keys.get(id(operation), ""), UNKNOWN)

    def of_image(self, node: Call, outer: Any, image: Image) -> State:
        """What is known of what is made of an image."""
        layer = outer.layer if type(outer).__name__ == "TimeDistributed" else outer
        kind, sizes = type(layer).__name__, tuple(node.outputs[0].shape[1:])
        if kind in CHANNELWISE:
            return image
        if kind == "Flatten":
            moves = getattr(layer, "data_format", None) == "channels_first"
            return Rows((image.sizes,), first=image.first and not moves)
        if kind.startswith("Global"):
            return None
        if kind == "Permute":
            rank = len(image.sizes)
            to_first, to_last = (rank, *range(1, rank)), (*range(2, rank + 1), 1)
            if tuple(layer.dims) == (to_last if image.first else to_first):
                return replace(image, first=not image.first)
        if kind == "Reshape" and len(sizes) == 1:
            return Rows((image.sizes,), first=image.first)
        if kind == "Reshape" and not image.first and sizes[-1] == image.sizes[-1]:
            return None  # a row of places, each with its channels: nothing was mixed
        if is_layer(layer) and layer.variables:
            self.found[self.keys.get(id(outer), "")] = UNKNOWN
            return None
        return UNKNOWN


def image_of(layer: Any, shape: tuple[int | None, ...]) -> State:
    """What a layer of images makes; None of any other layer."""
    planes = _SPATIAL.fullmatch(type(layer).__name__)
    first = getattr(layer, "data_format", None) == "channels_first"
    if not planes or not hasattr(layer, "data_format"):
        return None
    sizes = shape[-int(planes[1]) - 1 :]
    if type(layer).__name__.startswith("Global") or len(shape) < len(sizes) + 1:
        return None
    if first:
        sizes = (*sizes[1:], sizes[0])
    whole = tuple(size for size in sizes if size is not None)
    return Image(whole, first) if len(whole) == len(sizes) else UNKNOWN


def _beside(images: Sequence[Image], axis: int, rank: int) -> State:
    """Images with the same order of axes that are joined along one of them."""
    sizes, first = images[0].sizes, images[0].first
    channels = rank - len(sizes) if first else rank - 1
    if axis != channels or len({i.sizes[:-1] for i in images}) != 1:
        return UNKNOWN
    return Image((*sizes[:-1], sum(i.sizes[-1] for i in images)), first)


def _joined(states: Sequence[State], layer: Any, shape: tuple[int | None, ...]) -> State:
    """Images side by side by their channels, or flattened ones in a row."""
    images = [s for s in states if isinstance(s, Image)]
    if len(images) == len(states) and len({i.first for i in images}) == 1:
        return _beside(images, layer.axis % len(shape), len(shape))
    rows = [s for s in states if isinstance(s, Rows)]
    if not rows and not images:
        return None
    single = len(rows) == len(states) and len({r.first for r in rows}) == 1
    if single and all(r.known for r in rows):
        return Rows(tuple(b for r in rows for b in r.blocks), first=rows[0].first)
    return UNKNOWN
