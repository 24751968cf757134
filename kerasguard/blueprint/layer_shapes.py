"""What shape each class of layers makes of one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kerasguard.blueprint.objects import Json
from kerasguard.blueprint.operation_shapes import Shape

__all__ = ["PLANES", "RULES", "window"]


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


RULES: dict[str, Callable[[Json, Shape], Shape | None]] = {
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
PLANES: dict[str, Callable[[Json, Shape], Shape | None]] = {
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
