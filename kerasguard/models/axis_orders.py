"""In which order of axes the layers of a live model see what was flattened in front of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from kerasguard.layouts import Rows
from kerasguard.models.kerases import is_layer, of
from kerasguard.models.kerases.facts import Call
from kerasguard.models.kerases.graphs import made_by
from kerasguard.models.walk import Visit

__all__ = ["has_planes", "rows_of"]

_PASSING = {
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
_MERGES = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"}
_CHANNELWISE = {"BatchNormalization", "GroupNormalization", "Softmax"}
_BY_ROWS = {"Dense", "GRU", "LSTM", "SimpleRNN"}
_ON_LAST = {"Dense", "LayerNormalization", "PReLU", "RMSNormalization"}
_RANK, _CHANNELS = 3, 4  # of an image without its batch; at most, of one that nothing computed
_SPATIAL = re.compile(r"\w*([123])D(Transpose)?")


@dataclass(frozen=True, slots=True)
class _Image:
    """A tensor with channels: sizes of its last axes with the channels at the end.

    Of a row of places (`open`) nobody knows in which order it would be flattened.
    """

    sizes: tuple[int, ...]
    first: bool
    open: bool = False


# What is known of a tensor: nothing that matters, an image, an image flattened.
_State = _Image | Rows | None
_UNKNOWN = Rows(known=False)


def rows_of(model: Any, visits: Sequence[Visit]) -> dict[str, Rows]:
    """The order of the inputs of every layer with weights behind an image that was flattened.

    Args:
        model: of Keras; of one without a graph nothing is known.
        visits: of its walk.
    """
    found = _read(model, visits).found
    formats = {getattr(v.object, "data_format", "") for v in visits if has_planes(v.object)}
    if formats == {"channels_first"}:  # as the writer's; only a Flatten may differ
        return {key: rows for key, rows in found.items() if rows.known}
    return found


def ported_orders(
    model: Any, visits: Sequence[Visit]
) -> tuple[dict[str, Rows], dict[str, tuple[int, ...]]]:
    """The same of a model that was written for channels last after one for channels first.

    Its inputs are images, too, and what works on the last axis does so in both.

    Args:
        model: of Keras; of one without a graph nothing is known.
        visits: of its walk.

    Returns:
        The order of the inputs by layer; and of layers whose outputs are shaped into an image, its
        sizes.
    """
    given = [_given(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    reading = _read(model, visits, given, ported=True)
    return reading.found, reading.columns


def _read(
    model: Any, visits: Sequence[Visit], given: Sequence[_State] = (), *, ported: bool = False
) -> _Reading:
    reading = _Reading({id(visit.object): visit.path for visit in visits}, {}, ported)
    reading.model(model, given)
    return reading


def has_planes(layer: Any) -> bool:
    """Whether it is a layer of lines, images or volumes: a convolution, a pooling."""
    return _SPATIAL.fullmatch(type(layer).__name__) is not None


@dataclass
class _Reading:
    keys: Mapping[int, str]
    found: dict[str, Rows]
    ported: bool = False
    columns: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def model(self, model: Any, given: Sequence[_State]) -> list[_State]:
        """What is known of a graph's outputs, by what is known of its inputs."""
        if of(model).object_type(model) == "Sequential":
            model = getattr(model, "_functional", None) or model
        nodes = getattr(model, "_nodes_by_depth", None)
        if nodes is None or not hasattr(model, "outputs"):
            return [_UNKNOWN]
        known: dict[int, _State] = {
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

    def call(self, operation: Any, states: Sequence[_State], node: Call) -> Sequence[_State]:
        """What is known of what an operation makes."""
        if of(operation).object_type(operation) in ("Functional", "Sequential"):
            return self.model(operation, states)
        inner = operation.layer if type(operation).__name__ == "TimeDistributed" else operation
        state = self.made(inner, operation, states, node)
        return [state] * len(node.outputs)

    def made(self, layer: Any, outer: Any, states: Sequence[_State], node: Call) -> _State:
        kind, state, shape = type(layer).__name__, states[0], tuple(node.outputs[0].shape)
        image = _image(layer, shape)
        if image is not None:
            if not isinstance(state, _Image):
                self.shaped(node.inputs[0])
            return image
        if kind in _PASSING or (kind in _MERGES and len(set(states)) == 1):
            return state
        if kind == "Concatenate":
            return _joined(states, layer, shape)
        if isinstance(state, _Image):
            return self.of_row(layer, state) if state.open else self.of_image(node, outer, state)
        if any(isinstance(s, (_Image, Rows)) for s in states):
            if not is_layer(layer) or not layer.variables:
                return _UNKNOWN
            rows = state if isinstance(state, Rows) and len(states) == 1 else _UNKNOWN
            known = kind in _BY_ROWS or kind == "BatchNormalization"
            self.found[self.keys.get(id(outer), "")] = rows if known else _UNKNOWN
            return rows if kind == "BatchNormalization" else None
        return None

    def shaped(self, tensor: Any) -> None:
        """Note the layer whose outputs were shaped into an image: its columns have an order."""
        sizes: tuple[int, ...] = ()
        passed = []
        while True:
            operation, given = made_by(tensor)
            kind = type(operation).__name__
            if kind == "Reshape":
                shaped = prod(operation.target_shape[:-1]) > 1
                sizes = sizes or (tuple(operation.target_shape) if shaped else ())
            elif kind not in _PASSING | _CHANNELWISE or not given:
                break
            passed.append(operation)
            tensor = given[0]
        if not sizes or not is_layer(operation) or not operation.variables:
            return
        path = [operation, *passed]
        alone = all(len(getattr(item, "_outbound_nodes", ())) == 1 for item in path)
        if self.ported and kind == "Dense" and alone and min(sizes) > 0:
            vectors = [item for item in path if is_layer(item) and item.variables]
            self.columns.update((self.keys.get(id(item), ""), sizes) for item in vectors)
        else:
            self.found.setdefault(self.keys.get(id(operation), ""), _UNKNOWN)

    def of_row(self, layer: Any, row: _Image) -> _State:
        kind = type(layer).__name__
        if kind == "Flatten":
            return _UNKNOWN
        return row if kind in _CHANNELWISE | _ON_LAST else None

    def of_image(self, node: Call, outer: Any, image: _Image) -> _State:
        layer = outer.layer if type(outer).__name__ == "TimeDistributed" else outer
        kind = type(layer).__name__
        if kind in _CHANNELWISE:
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
        if kind == "Reshape" and len(layer.target_shape) == 1:
            return Rows((image.sizes,), first=image.first)
        if kind == "Reshape" and not image.first and layer.target_shape[-1] == image.sizes[-1]:
            # A row of places, each with its channels: nothing was mixed.
            sizes = tuple(size or 0 for size in node.outputs[0].shape[1:])
            return _Image(sizes, first=False, open=True) if self.ported else None
        if self.ported and not image.first and kind in _ON_LAST:
            size = getattr(layer, "units", image.sizes[-1])
            return replace(image, sizes=(*image.sizes[:-1], size))
        if is_layer(layer) and layer.variables:
            self.found[self.keys.get(id(outer), "")] = _UNKNOWN
            return None
        return _UNKNOWN


def _given(shape: Sequence[int | None]) -> _State:
    """What is known of an input; which axis is that of the channels is told by their number."""
    sizes = tuple(size for size in shape[1:] if size is not None)
    if len(shape) <= _RANK:
        return None
    if len(sizes) < len(shape) - 1:
        return _UNKNOWN
    few = sizes[-1] <= _CHANNELS, sizes[0] <= _CHANNELS
    if few == (True, False):
        return _Image(sizes, first=False)
    return _Image((*sizes[1:], sizes[0]), first=True) if few == (False, True) else _UNKNOWN


def _image(layer: Any, shape: tuple[int | None, ...]) -> _State:
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
    return _Image(whole, first) if len(whole) == len(sizes) else _UNKNOWN


def _beside(images: Sequence[_Image], axis: int, rank: int) -> _State:
    """Images with the same order of axes that are joined along one of them."""
    sizes, first = images[0].sizes, images[0].first
    channels = rank - len(sizes) if first else rank - 1
    if axis != channels or len({i.sizes[:-1] for i in images}) != 1:
        return _UNKNOWN
    return _Image((*sizes[:-1], sum(i.sizes[-1] for i in images)), first)


def _joined(states: Sequence[_State], layer: Any, shape: tuple[int | None, ...]) -> _State:
    """Images side by side by their channels, or flattened ones in a row."""
    images = [s for s in states if isinstance(s, _Image)]
    if len(images) == len(states) and len({i.first for i in images}) == 1:
        return _beside(images, layer.axis % len(shape), len(shape))
    rows = [s for s in states if isinstance(s, Rows)]
    if not rows and not images:
        return None
    single = len(rows) == len(states) and len({r.first for r in rows}) == 1
    if single and all(r.known for r in rows):
        return Rows(tuple(b for r in rows for b in r.blocks), first=rows[0].first)
    return _UNKNOWN
