"""What the layers of a live model compute otherwise than PyTorch's modules of their kind.

A state dict holds arrays and no arguments, so that nothing here can be compared: what no module
computes is refused, and what modules compute by default otherwise than Keras is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from kerasguard.errors import listed
from kerasguard.layouts import Rows
from kerasguard.models.axis_orders import has_planes
from kerasguard.models.kerases import is_a, is_foreign
from kerasguard.models.live_calls import has_graph
from kerasguard.models.ported_orders import ported_orders
from kerasguard.models.walk import Visit

__all__ = ["Orders", "impossible", "orders", "other_defaults"]

_GATED = ("LSTM", "LSTMCell", "GRU", "GRUCell")
_RECURRENT = (*_GATED, "SimpleRNN", "SimpleRNNCell")
# By class and argument: what it is by default in Keras 3, and in PyTorch.
_DEFAULTS = {
    ("BatchNormalization", "epsilon"): (1e-3, 1e-5),
    ("GroupNormalization", "epsilon"): (1e-3, 1e-5),
    ("LayerNormalization", "epsilon"): (1e-3, 1e-5),
    ("LeakyReLU", "negative_slope"): (0.3, 0.01),
}
_MATRIX, _SEQUENCE = 2, 3  # ranks, with the batch


def impossible(visits: Sequence[Visit]) -> Iterator[tuple[str, str, str]]:
    """Layers that compute what no module does: key, name, and what that is."""
    kinds = {visit.path: type(visit.object).__name__ for visit in visits}
    for visit in visits:
        layer, kind = visit.object, kinds[visit.path]
        outer = kinds.get(visit.path.rpartition("/")[0], "")
        if kind not in _RECURRENT or outer in _RECURRENT:  # a cell is asked by its layer
            continue
        if kind.startswith("GRU") and not (layer.reset_after or layer.use_bias):  # biases tell
            why = "nn.GRU resets after the recurrent product; build the layer with reset_after=True"
            yield visit.path, _name(visit), why
        functions = {"activation": ("tanh",) if kind in _GATED else ("tanh", "relu")}
        if kind in _GATED:
            functions["recurrent_activation"] = ("sigmoid",)
        for argument, known in functions.items():
            name = getattr(getattr(layer, argument, None), "__name__", known[0])
            if name not in known:
                why = f"nn.{kind} computes with {known[0]}, the layer has {argument}={name!r}"
                yield visit.path, _name(visit), why


def other_defaults(visits: Sequence[Visit]) -> Iterator[str]:
    """A line for all layers that have a default of Keras where PyTorch's is another."""
    for (kind, argument), (ours, theirs) in _DEFAULTS.items():
        alike = [v for v in visits if type(v.object).__name__ == kind]
        names = [_name(v) for v in alike if getattr(v.object, argument, None) == ours]
        if names:
            yield (
                f"{listed(names)}: {argument} is {ours} by default, where PyTorch's default is "
                f"{theirs}; a state dict does not say which it was"
            )
    uneven = [_name(visit) for visit in visits if _pads_unevenly(visit.object)]
    if uneven:
        yield (
            f"{listed(uneven)}: with strides and padding='same' Keras pads one side more, while "
            "PyTorch's padding= pads both sides equally; if the module has padding=n, put a "
            "ZeroPadding of n in "
            "front and give the layer padding='valid'"
        )


class Orders(NamedTuple):
    """In which order what layers take and make lies.

    Args:
        rows: of the inputs of layers behind a Flatten, by key.
        columns: sizes of the images that layers' outputs are shaped into, channels last.
        open: keys of layers of which it is not known.
    """

    rows: Mapping[str, Rows]
    columns: Mapping[str, tuple[int, ...]]
    open: Collection[str]


def orders(model: Any, visits: Sequence[Visit]) -> Orders:
    """In which order the layers of a model see images that are flattened, or made.

    Inside a user-defined class no graph tells what is flattened; there, layers that work on
    the last axis of an image, or of a sequence, are known not to mix anything.

    Args:
        model: written for channels last, after a module of PyTorch.
        visits: of its walk, the model itself first.
    """
    found, columns, unshaped = ported_orders(model, visits)
    objects = {visit.path: visit.object for visit in visits}
    open_ = {key for key, order in found.items() if not order.known}
    opaque = {key for key in open_ if is_foreign(objects.get(key))}
    if not has_graph(model) and any(has_planes(item) for item in objects.values()):
        opaque.add("")
    channels = _channels(objects.values())
    inside = {
        key for key, item in objects.items() if _is_in(key, opaque) and _mixes(item, channels)
    }
    known = {key: order for key, order in found.items() if order.known}
    return Orders(known, columns, (open_ - opaque) | inside | unshaped)


def _channels(objects: Iterable[Any]) -> set[int]:
    """The numbers of channels that layers make."""
    sizes = ("filters", "units", "output_dim")
    found = (getattr(item, size, None) for item in objects for size in sizes)
    return {number for number in found if isinstance(number, int)}


def _is_in(key: str, outer: Collection[str]) -> bool:
    """Whether an object is one of these, or inside one."""
    return any(not o or key == o or key.startswith(f"{o}/") for o in outer)


def _mixes(layer: Any, channels: set[int]) -> bool:
    """Whether what it is called on may have places and channels on one axis."""
    kind, shape = type(layer).__name__, _input_shape(layer)
    if kind in _RECURRENT:
        return True
    if kind == "BatchNormalization":
        return shape is None or len(shape) == _MATRIX
    if kind != "Dense":
        return False
    return shape is None or len(shape) == _MATRIX or shape[-1] not in channels


def _pads_unevenly(layer: Any) -> bool:
    """Whether `same` pads or crops an odd number of places along some axis, or may do so."""
    sizes = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    strides = getattr(layer, "strides", None)
    if not has_planes(layer) or getattr(layer, "padding", "") != "same" or not sizes or not strides:
        return False
    rank = len(sizes)
    shape = _input_shape(layer) or (None,) * (rank + 2)
    first = getattr(layer, "data_format", "") == "channels_first"
    places = shape[2:] if first else shape[1:-1]
    wide = getattr(layer, "dilation_rate", None) or (1,) * rank
    wide = (wide,) * rank if isinstance(wide, int) else wide
    turned = is_a(layer, f"Conv{rank}DTranspose")
    for size, stride, dilation, place in zip(sizes, strides, wide, places, strict=False):
        reach = (size - 1) * dilation + 1
        if stride == 1 or reach == 1:
            continue
        if turned:
            more = reach - stride
        elif place is None:
            return True
        else:
            more = max((ceil(place / stride) - 1) * stride + reach - place, 0)
        if more % 2:
            return True
    return False


def _input_shape(layer: Any) -> tuple[int | None, ...] | None:
    """The shape that it was built with; None where it does not say."""
    config = layer.get_build_config() if hasattr(layer, "get_build_config") else None
    shape = (config or {}).get("input_shape")
    plain = isinstance(shape, (list, tuple)) and all(n is None or isinstance(n, int) for n in shape)
    return tuple(shape) if plain else None  # type: ignore[arg-type]


def _name(visit: Visit) -> str:
    return "/".join(visit.names) or str(getattr(visit.object, "name", ""))
