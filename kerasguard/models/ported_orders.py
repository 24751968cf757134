"""In which order the layers see images in a model that was written for channels last.

The other one, for channels first, flattened (channels, height, width), and shaped vectors into
that. Its inputs were images too, what works on the last axis did so there, and what a class of the
user's own makes of an image is one, if it has as many axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

from kerasguard.layouts import Rows
from kerasguard.models.axis_orders import (
    CHANNELWISE,
    MERGES,
    PASSING,
    UNKNOWN,
    Image,
    Reading,
    State,
    has_planes,
    image_of,
)
from kerasguard.models.kerases import is_foreign, is_layer
from kerasguard.models.kerases.facts import Call
from kerasguard.models.kerases.graphs import made_by
from kerasguard.models.walk import Visit

__all__ = ["ported_orders"]

_ON_LAST = {"Dense", "LayerNormalization", "PReLU", "RMSNormalization"}
_FUNCTIONS = {"Gelu", "HardSigmoid", "HardSilu", "LeakyRelu", "Relu", "Relu6", "Sigmoid", "Silu"}
_OVER_PLACES = {"Max", "Mean"}
_RANK, _CHANNELS = 3, 4  # of an image without its batch; at most, of one that nothing computed
_VECTOR = 2  # axes, with the batch


class _Row(Image):
    """A row of places, each with its channels, which may be flattened in either order."""


def ported_orders(
    model: Any, visits: Sequence[Visit]
) -> tuple[dict[str, Rows], dict[str, tuple[int, ...]], set[str]]:
    """The order of inputs and outputs, as far as the model's graph tells it.

    Args:
        model: of Keras; of one without a graph nothing is known.
        visits: of its walk.

    Returns:
        The order of the inputs by layer; of layers whose outputs are shaped into an image, its
        sizes; and the keys of those whose outputs become an image in a way that is not known.
    """
    formats = {getattr(v.object, "data_format", "") for v in visits if has_planes(v.object)}
    ends = frozenset(id(tensor) for tensor in getattr(model, "outputs", None) or ())
    keys = {id(visit.object): visit.path for visit in visits}
    reading = _Ported(keys, {}, formats == {"channels_first"}, ends)
    given = [_given(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    reading.model(model, given)
    lost = {v.path for v in visits if getattr(v.object, "units", None) in reading.lost}
    return reading.found, reading.columns, (reading.open | lost) - reading.columns.keys()


def _given(shape: Sequence[int | None]) -> State:
    """What is known of an input; which axis is that of the channels is told by their number."""
    sizes = tuple(size for size in shape[1:] if size is not None)
    if len(shape) <= _RANK:
        return None
    if len(sizes) < len(shape) - 1:
        return UNKNOWN
    few = sizes[-1] <= _CHANNELS, sizes[0] <= _CHANNELS
    if few == (True, False):
        return Image(sizes, first=False)
    return Image((*sizes[1:], sizes[0]), first=True) if few == (False, True) else UNKNOWN


class _Source(NamedTuple):
    """A layer whose outputs are shaped into an image.

    Args:
        layer: that has variables.
        axes: of its outputs, with the batch.
        sizes: of the image, without the batch; empty where nothing reshapes.
        between: what its outputs pass through on the way.
        known: whether all of that leaves the order of the elements alone.
    """

    layer: Any
    axes: int
    sizes: tuple[int, ...]
    between: tuple[Any, ...]
    known: bool


@dataclass
class _Ported(Reading):
    first: bool
    ends: frozenset[int]
    columns: dict[str, tuple[int, ...]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)

    def made(self, layer: Any, outer: Any, states: Sequence[State], node: Call) -> State:
        kind, state, shape = type(layer).__name__, states[0], tuple(node.outputs[0].shape)
        if kind.startswith("Global"):
            return None
        if kind == "Reshape" and state is None and len(shape) > _RANK:
            self.shaped(node.outputs[0], sure=False)
        if kind in MERGES and (image := self.merged(states, shape)) is not None:
            return image
        if isinstance(state, Image) and kind in _FUNCTIONS:
            return state
        if isinstance(state, _Row):
            return self.of_row(layer, state, shape)
        if isinstance(state, Image) and kind in _OVER_PLACES and shape[1:] == state.sizes[-1:]:
            return None
        found = super().made(layer, outer, states, node)
        own = isinstance(state, Image) and is_layer(layer) and is_foreign(layer)
        return self.beyond(shape) if own else found

    def merged(self, states: Sequence[State], shape: tuple[int | None, ...]) -> Image | None:
        """The image that a merge gives back, if those of its size agree on the order."""
        images = [s for s in states if isinstance(s, Image) and s.sizes == self.last(s, shape)]
        return images[0] if len({image.first for image in images}) == 1 else None

    def last(self, image: Image, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The sizes in a shape, channels last."""
        return (*shape[2:], shape[1]) if image.first else shape[1:]

    def of_row(self, layer: Any, row: _Row, shape: tuple[int | None, ...]) -> State:
        kind = type(layer).__name__
        if kind == "Flatten" or (kind == "Reshape" and len(shape) == _VECTOR):
            return UNKNOWN
        return row if kind in PASSING | CHANNELWISE | _ON_LAST else image_of(layer, shape)

    def of_image(self, node: Call, outer: Any, image: Image) -> State:
        kind, shape = type(outer).__name__, tuple(node.outputs[0].shape)
        if not image.first and kind in _ON_LAST:
            return self.beyond(shape)
        row = kind == "Reshape" and len(shape) == _RANK and shape[-1] == image.sizes[-1]
        if row and not image.first:
            return _Row(tuple(size or 0 for size in shape[1:]), first=False)
        return super().of_image(node, outer, image)

    def beyond(self, shape: tuple[int | None, ...]) -> State:
        """What is known of what is made of an image, by its axes alone."""
        sizes = tuple(size for size in shape[1:] if size is not None)
        if len(shape) <= _RANK or len(sizes) < len(shape) - 1:
            return None if len(shape) == _RANK else UNKNOWN
        return Image((*sizes[1:], sizes[0]) if self.first else sizes, self.first)

    def shaped(self, tensor: Any, *, sure: bool = True) -> None:
        """Note the layer whose outputs were shaped into an image: its columns have an order.

        Args:
            tensor: that is an image.
            sure: whether something takes it for one.
        """
        source = self.source(tensor, sure)
        if source is None:
            return
        sizes, chain = source.sizes, (source.layer, *source.between)
        trivial = sizes and (sizes[-1] == 1 or prod(sizes[:-1]) == 1)
        if source.axes != _VECTOR or trivial:
            return
        alone = all(len(getattr(item, "_outbound_nodes", ())) == 1 for item in chain)
        plain = source.known and alone and type(source.layer).__name__ == "Dense"
        if plain and sizes and min(sizes) > 0:
            vectors = [item for item in chain if is_layer(item) and item.variables]
            self.columns.update((self.keys.get(id(item), ""), sizes) for item in vectors)
        else:
            self.open.add(self.keys.get(id(source.layer), ""))

    def source(self, tensor: Any, sure: bool) -> _Source | None:
        """Where a tensor comes from, before it was shaped; None where no layer made it alone."""
        sizes, known, between = tuple[int, ...](), sure, list[Any]()
        while True:
            operation, given = made_by(tensor)
            kind = type(operation).__name__
            passing = kind in PASSING | CHANNELWISE
            known = known and id(tensor) not in self.ends
            if kind == "Reshape":
                sizes = sizes or tuple(size or 0 for size in tensor.shape[1:])
            elif not passing and is_layer(operation) and operation.variables:
                return _Source(operation, len(tensor.shape), sizes, tuple(between), known)
            elif len(given) != 1:
                self.lost |= {prod(sizes)} if kind == "InputLayer" and sizes else set()
                return None
            else:
                known = known and passing
            between.append(operation)
            tensor = given[0]
