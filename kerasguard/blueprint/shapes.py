"""Static shapes in a graph, as far as the configs tell, with channels last.

Needed where Keras 3 wants a size that older layers found out for themselves. A shape that cannot
be told is None, and so is every one that depends on it; sizes that are open are None inside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from kerasguard.blueprint.nodes import (
    History,
    calls_of,
    history_of,
    is_graph,
    layers_of,
    tensors_in,
)
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of
from kerasguard.blueprint.operation_shapes import constant_shape, operation_shape

__all__ = ["Shape", "rank_in", "shapes_of", "window", "with_input_shapes"]

Shape = list[Any]

_SAME = {
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "Identity",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ThresholdedReLU",
    "UnitNormalization",
}
_MERGES = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"}


def shapes_of(model: Json) -> dict[History, Shape]:
    """The shape of every tensor of a model that can be told."""
    found: dict[History, Shape] = {}
    if not is_graph(model):
        return _in_a_row(layers_of(model))
    for layer in layers_of(model):
        if class_of(layer) == "InputLayer" and config_of(layer).get("batch_shape"):
            found[name_of(layer), 0, 0] = list(config_of(layer)["batch_shape"])
    # The configs list layers in the order of their depth; a few rounds do for shared ones.
    for _ in range(3):
        for layer in layers_of(model):
            for number, call in enumerate(calls_of(layer)):
                shape = _call(layer, call, found)
                if shape is not None:
                    found[name_of(layer), number, 0] = shape
    return found


def with_input_shapes(model: Json, layers: Sequence[Json]) -> Iterator[tuple[Json, Shape | None]]:
    """Layers of a model, each with the shape of what it is called on first, as far as told.

    The shapes are those before the first layer is given out: the caller may rewrite the model.
    """
    shapes = shapes_of(model) if layers else {}
    before = {name: other for other, name in pairwise(map(name_of, layers_of(model)))}
    for layer in layers:
        calls = calls_of(layer)
        source = history_of(calls[0]["args"][0]) if calls else None
        yield layer, shapes.get(source or (before.get(name_of(layer), ""), 0, 0))


def rank_in(model: Json) -> Callable[[Any], int | None]:
    """Tells the number of axes of a tensor of a graph, or of a list of numbers."""
    shapes: dict[History, Shape] = {}

    def rank(value: Any) -> int | None:
        history = history_of(value)
        if history is None:
            return 1 + (rank(value[0]) or 0) if isinstance(value, list) and value else 0
        if not shapes:
            shapes.update(shapes_of(model))
        return len(shapes[history]) if history in shapes else None

    return rank


def _in_a_row(layers: list[Json]) -> dict[History, Shape]:
    """The shapes in a Sequential model."""
    found: dict[History, Shape] = {}
    start = config_of(layers[0]).get("batch_shape") if layers else None
    shape: Shape | None = list(start) if start else None
    for layer in layers:
        if class_of(layer) != "InputLayer":
            shape = None if shape is None else _layer(layer, list(shape))
        if shape is not None:
            found[name_of(layer), 0, 0] = shape
    return found


def _call(layer: Json, call: Json, known: dict[History, Shape]) -> Shape | None:
    if class_of(layer).startswith("ops."):
        return _operation(layer, call, known)
    inputs = [known.get(history) for history in tensors_in(call["args"])]
    if not inputs or any(shape is None for shape in inputs):
        return None
    given = [list(shape) for shape in inputs if shape is not None]
    single = history_of(call["args"][0]) is not None
    return _layer(layer, given[0]) if single else _merge(layer, given)


def _operation(layer: Json, call: Json, known: dict[History, Shape]) -> Shape | None:
    def shape_of(value: Any) -> Shape | None:
        history = history_of(value)
        return constant_shape(value) if history is None else known.get(history)

    kind, config = class_of(layer).removeprefix("ops."), config_of(layer)
    found: Shape | None = operation_shape(kind, config, call["args"], shape_of)
    return found


def _merge(layer: Json, given: list[Shape]) -> Shape | None:
    if class_of(layer) in _MERGES:
        return given[0] if all(shape == given[0] for shape in given) else None
    if class_of(layer) == "Concatenate":
        axis = config_of(layer).get("axis", -1)
        sizes = [shape[axis] for shape in given]
        result = given[0]
        result[axis] = None if None in sizes else sum(sizes)
        return result
    return None


def _layer(layer: Json, shape: Shape) -> Shape | None:
    """What a layer makes of one tensor."""
    kind, config = class_of(layer), config_of(layer)
    if kind in _SAME:
        return shape
    if config.get("data_format") == "channels_first":
        return None
    planes = re.search(r"([123])D", kind)
    rule = _RULES.get(kind) or (_PLANES.get(kind.replace(planes[0], "")) if planes else None)
    if rule is None or (planes is not None and len(shape) != int(planes[1]) + 2):
        return None
    return rule(config, shape)


def window(size: int | None, kernel: int, stride: int, padding: str, dilation: int = 1) -> Any:
    """The number of places that a window takes along an axis."""
    if size is None:
        return None
    reach = (kernel - 1) * dilation + 1
    more = {"same": reach - 1, "causal": reach - 1, "full": 2 * (reach - 1)}.get(padding, 0)
    return -(-(size + more - reach + 1) // stride)


def _sizes(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value] * count


def _convolve(config: Json, shape: Shape, kernel: str = "kernel_size") -> list[Any]:
    """The spatial axes behind a convolution or a pooling."""
    count = len(shape) - 2
    kernels = _sizes(config.get(kernel, 2), count)
    strides = _sizes(config.get("strides") or (kernels if kernel == "pool_size" else 1), count)
    dilation = _sizes(config.get("dilation_rate", 1), count)
    padding = config.get("padding", "valid")
    parts = zip(shape[1:-1], kernels, strides, dilation, strict=True)
    return [window(size, k, stride, padding, d) for size, k, stride, d in parts]


def _conv(config: Json, shape: Shape) -> Shape:
    return [shape[0], *_convolve(config, shape), config["filters"]]


def _depthwise(config: Json, shape: Shape) -> Shape:
    channels = shape[-1] and shape[-1] * config.get("depth_multiplier", 1)
    return [shape[0], *_convolve(config, shape), channels]


def _pool(config: Json, shape: Shape) -> Shape:
    return [shape[0], *_convolve(config, shape, "pool_size"), shape[-1]]


def _transposed(config: Json, shape: Shape) -> Shape | None:
    if config.get("output_padding") is not None:
        return None
    count = len(shape) - 2
    kernels, strides = _sizes(config["kernel_size"], count), _sizes(config.get("strides", 1), count)
    longer = 0 if config.get("padding", "valid") == "same" else 1
    parts = zip(shape[1:-1], kernels, strides, strict=True)
    sizes = [size and size * s + longer * max(k - s, 0) for size, k, s in parts]
    return [shape[0], *sizes, config["filters"]]


def _global(config: Json, shape: Shape) -> Shape:
    middle = [1] * (len(shape) - 2) if config.get("keepdims") else []
    return [shape[0], *middle, shape[-1]]


def _edges(value: Any, count: int) -> list[int]:
    """What padding or cropping adds up to, for each axis."""
    pairs = value if isinstance(value, list) and isinstance(value[0], list) else None
    if count == 1 and pairs is None:
        value = value if isinstance(value, list) else [value, value]
        return [sum(value)]
    return [sum(_sizes(x, 2)) for x in (pairs or [_sizes(v, 2) for v in _sizes(value, count)])]


def _pad(config: Json, shape: Shape) -> Shape:
    edges = _edges(config.get("padding", 1), len(shape) - 2)
    sizes = [size and size + e for size, e in zip(shape[1:-1], edges, strict=True)]
    return [shape[0], *sizes, shape[-1]]


def _crop(config: Json, shape: Shape) -> Shape:
    edges = _edges(config.get("cropping", 1), len(shape) - 2)
    sizes = [size and max(size - e, 0) for size, e in zip(shape[1:-1], edges, strict=True)]
    return [shape[0], *sizes, shape[-1]]


def _upsample(config: Json, shape: Shape) -> Shape:
    factors = _sizes(config.get("size", 2), len(shape) - 2)
    sizes = [size and size * f for size, f in zip(shape[1:-1], factors, strict=True)]
    return [shape[0], *sizes, shape[-1]]


def _flatten(config: Json, shape: Shape) -> Shape:
    rest = shape[1:]
    return [shape[0], None if None in rest else math.prod(rest)]


def _reshape(config: Json, shape: Shape) -> Shape:
    target, rest = list(config["target_shape"]), shape[1:]
    if -1 in target:
        known = -math.prod(target)
        open_size = None if None in rest else math.prod(rest) // known
        target[target.index(-1)] = open_size
    return [shape[0], *target]


def _recurrent(config: Json, shape: Shape) -> Shape:
    times = [shape[1]] if config.get("return_sequences") else []
    return [shape[0], *times, config["units"]]


_RULES: dict[str, Callable[[Json, Shape], Shape | None]] = {
    "Dense": lambda config, shape: [*shape[:-1], config["units"]],
    "Embedding": lambda config, shape: [*shape, config["output_dim"]],
    "Flatten": _flatten,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "Permute": lambda config, shape: [shape[0], *(shape[n] for n in config["dims"])],
    "RepeatVector": lambda config, shape: [shape[0], config["n"], shape[1]],
    "Reshape": _reshape,
    "SimpleRNN": _recurrent,
}
# By the name of the layer without its number of axes.
_PLANES: dict[str, Callable[[Json, Shape], Shape | None]] = {
    "AveragePooling": _pool,
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "Cropping": _crop,
    "DepthwiseConv": _depthwise,
    "GlobalAveragePooling": _global,
    "GlobalMaxPooling": _global,
    "LocallyConnected": _conv,
    "MaxPooling": _pool,
    "SeparableConv": _conv,
    "UpSampling": _upsample,
    "ZeroPadding": _pad,
}
