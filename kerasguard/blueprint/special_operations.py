"""Functions of TensorFlow whose arguments mean something else in Keras 3.

Each takes the call's parameters by name and gives a `Plan`; `Unsupported` says what stands
against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kerasguard.blueprint.nodes import tensors_in
from kerasguard.blueprint.objects import Json, keras_object

__all__ = ["SPECIAL", "Plan", "Unsupported"]


class Unsupported(Exception):  # noqa: N818 - not an error of ours, a fact about the file
    """Keras 3 has no operation that computes this; the text says what is in the way."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to compute one call.

    Args:
        tensors: the arguments of the first operation.
        steps: names of Keras' operations with their options, in order.
        again: numbers of the steps that get the first argument once more, in front.
    """

    tensors: tuple[Any, ...]
    steps: tuple[tuple[str, Json], ...]
    again: tuple[int, ...] = ()


def _one(tensor: Any, step: str, **options: Any) -> Plan:
    return Plan((tensor,), ((step, options),))


def _static(value: Any, what: str) -> Any:
    """A value that the file knows; not one that another layer computes."""
    if next(tensors_in(value), None) is not None:
        raise Unsupported(f"{what} is computed inside the model")
    return value


def _get_item(given: Json) -> Plan:
    key = _static(given.get("slice_spec"), "the slice")
    parts = key if isinstance(key, list) else [key]
    spec = [_slice_part(part) for part in parts]
    return Plan((given["tensor"], spec), (("numpy.GetItem", {}),))


def _slice_part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(part, dict) and {"start", "stop", "step"} & set(part):
        config = {key: part.get(key) for key in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": config}
    if part is None or isinstance(part, (int, dict)):
        return part
    raise Unsupported("the slice picks elements by a list")


def _reshape(given: Json) -> Plan:
    shape = given["shape"]
    first = shape[0] if isinstance(shape, list) and shape else None
    if isinstance(first, dict) and first.get("class_name") == "__batch_size__":
        return _one(given["tensor"], "layers.Reshape", target_shape=shape[1:])
    return _one(given["tensor"], "numpy.Reshape", newshape=_static(shape, "the shape"))


def _clip(given: Json) -> Plan:
    low = _static(given["clip_value_min"], "the lower bound")
    high = _static(given["clip_value_max"], "the upper bound")
    return _one(given["t"], "numpy.Clip", x_min=low, x_max=high)


def _backend_clip(given: Json) -> Plan:
    return _one(given["x"], "numpy.Clip", x_min=given["min_value"], x_max=given["max_value"])


def _l2_normalize(given: Json) -> Plan:
    axis = given.get("axis", given.get("dim"))
    if not isinstance(axis, (int, list)):
        raise Unsupported("it normalises over all axes, the batch included")
    # TensorFlow bounds the sum of squares, Keras its root.
    epsilon = math.sqrt(given.get("epsilon", 1e-12))
    return _one(given["x"], "nn.Normalize", axis=axis, order=2, epsilon=epsilon)


def _one_hot(given: Json) -> Plan:
    if given.get("on_value") not in (None, 1, 1.0) or given.get("off_value") not in (None, 0, 0.0):
        raise Unsupported("it has other values than 1 and 0")
    depth = _static(given.get("depth", given.get("num_classes")), "the depth")
    axis = -1 if given.get("axis") is None else given["axis"]
    options = {"num_classes": depth, "axis": axis, "dtype": given.get("dtype") or "float32"}
    return _one(given["indices"], "nn.OneHot", **options)


def _split(given: Json) -> Plan:
    sections = _static(given["num_or_size_splits"], "the sizes")
    if isinstance(sections, list):
        if min(sections) < 0:
            raise Unsupported("one of its sizes is left open")
        sections = [sum(sections[: n + 1]) for n in range(len(sections) - 1)]
    options = {"indices_or_sections": sections, "axis": given.get("axis") or 0}
    return _one(given["value"], "numpy.Split", **options)


def _pad(given: Json) -> Plan:
    mode = str(given.get("mode") or "CONSTANT").lower()
    width = _static(given["paddings"], "the padding")
    tensors: tuple[Any, ...] = (given["tensor"],)
    if mode == "constant":
        tensors = (*tensors, given.get("constant_values") or 0)
    return Plan(tensors, (("numpy.Pad", {"pad_width": width, "mode": mode}),))


def _matmul(given: Json) -> Plan:
    flags = ("a_is_sparse", "adjoint_a", "adjoint_b", "b_is_sparse", "output_type")
    if any(given.get(flag) for flag in flags):
        raise Unsupported("it is sparse, adjoint or of another dtype")
    left, right = given.get("transpose_a"), given.get("transpose_b")
    if not left and not right:
        return Plan((given["a"], given["b"]), (("numpy.Matmul", {}),))
    subscripts = f"...{'ji' if left else 'ij'},...{'kj' if right else 'jk'}->...ik"
    return Plan((given["a"], given["b"]), (("numpy.Einsum", {"subscripts": subscripts}),))


def _norm(given: Json) -> Plan:
    if given.get("ord", "euclidean") not in ("euclidean", 2) or given.get("axis") is None:
        raise Unsupported("it is not the Euclidean norm along some axes")
    options = {"axis": given["axis"], "keepdims": bool(given.get("keepdims"))}
    return Plan(
        (given["tensor"],),
        (("numpy.Square", {}), ("numpy.Sum", options), ("numpy.Sqrt", {})),
    )


def _relu(given: Json) -> Plan:
    options = {
        "negative_slope": given.get("alpha") or 0.0,
        "max_value": given.get("max_value"),
        "threshold": given.get("threshold") or 0.0,
    }
    return _one(given["x"], "layers.ReLU", **options)


def _hard_sigmoid(given: Json) -> Plan:
    return _one(given["x"], "layers.Activation", activation="hard_sigmoid")


def _pool(given: Json) -> Plan:
    """`nn.max_pool2d` and its kin; the name of the operation is in `function`."""
    size, strides = _inner(given["ksize"]), _inner(given.get("strides") or given["ksize"])
    kind = "nn.MaxPool" if "max" in given["function"] else "nn.AveragePool"
    if given.get("data_format") not in (None, "NHWC"):
        raise Unsupported("it has channels first")
    options = {"pool_size": size, "strides": strides, "padding": str(given["padding"]).lower()}
    return _one(given["input"], kind, **options, data_format="channels_last")


def _inner(sizes: Any) -> Any:
    """Sizes without those of the batch and the channels; one number where they are equal."""
    inner = sizes[1:-1] if isinstance(sizes, list) and len(sizes) == 4 else sizes
    return inner[0] if isinstance(inner, list) and len(set(inner)) == 1 else inner


def _resize(given: Json) -> Plan:
    method = given.get("method") or "bilinear"
    if given.get("preserve_aspect_ratio"):
        raise Unsupported("it keeps the aspect ratio")
    if method not in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"):
        raise Unsupported(f"its method is {method}")
    options = {
        "size": _static(given["size"], "the size"),
        "interpolation": method,
        "antialias": bool(given.get("antialias")),
        "data_format": "channels_last",
    }
    return _one(given["images"], "image.Resize", **options)


def _resize_images(given: Json) -> Plan:
    if given.get("data_format") not in (None, "channels_last"):
        raise Unsupported("it has channels first")
    options = {
        "size": [given["height_factor"], given["width_factor"]],
        "interpolation": given.get("interpolation") or "nearest",
        "data_format": "channels_last",
    }
    return _one(given["x"], "layers.UpSampling2D", **options)


def _slice(given: Json) -> Plan:
    begin, size = _static(given["begin"], "the start"), _static(given["size"], "the size")
    ends = [None if n == -1 else b + n for b, n in zip(begin, size, strict=True)]
    spec = [
        _slice_part({"start": b, "stop": e, "step": None}) for b, e in zip(begin, ends, strict=True)
    ]
    return Plan((given["input_"], spec), (("numpy.GetItem", {}),))


def _convolution(given: Json) -> Plan:
    """`nn.conv2d` and `nn.depthwise_conv2d` with kernels that are in the file."""
    depthwise = "depthwise" in given["function"]
    kernel = _static(given["filters"] if "filters" in given else given["filter"], "the kernel")
    padding = given["padding"]
    if given.get("data_format") not in (None, "NHWC") or not isinstance(padding, str):
        raise Unsupported("it has channels first or explicit padding")
    options = {
        "strides": _inner(given.get("strides") or 1),
        "padding": padding.lower(),
        "data_format": "channels_last",
        "dilation_rate": _inner(given.get("dilations") or 1),
    }
    step = "nn.DepthwiseConv" if depthwise else "nn.Conv"
    return Plan((given["input"], kernel), ((step, options),))


def _patches(given: Json) -> Plan:
    options = {
        "size": _inner(given["sizes"]),
        "strides": _inner(given["strides"]),
        "dilation_rate": _inner(given.get("rates") or 1),
        "padding": str(given["padding"]).lower(),
        "data_format": "channels_last",
    }
    return _one(given["images"], "image.ExtractPatches", **options)


def _einsum(given: Json) -> Plan:
    operands = given["inputs"]
    if not isinstance(operands, list) or not isinstance(given.get("equation"), str):
        raise Unsupported("the file does not say what it was called on")
    return Plan(tuple(operands), (("numpy.Einsum", {"subscripts": given["equation"]}),))


def constant(value: Any) -> Any:
    """A constant argument; a list is an array."""
    if isinstance(value, list) and value and not any(map(_is_dict, _flat(value))):
        kind = "float32" if any(isinstance(x, float) for x in _flat(value)) else "int32"
        config = {"value": value, "dtype": kind}
        return {key: x for key, x in keras_object("", "__numpy__", config).items() if x}
    return value


def _flat(value: Any) -> list[Any]:
    return [x for item in value for x in _flat(item)] if isinstance(value, list) else [value]


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


# By name, with the name of the first parameter, which calls give by position.
SPECIAL: dict[str, tuple[str, Callable[[Json], Plan]]] = {
    "__operators__.getitem": ("tensor", _get_item),
    "avg_pool": ("input", _pool),
    "avg_pool2d": ("input", _pool),
    "clip": ("x", _backend_clip),
    "clip_by_value": ("t", _clip),
    "conv2d": ("input", _convolution),
    "depthwise_conv2d": ("input", _convolution),
    "einsum": ("inputs", _einsum),
    "hard_sigmoid": ("x", _hard_sigmoid),
    "image.extract_patches": ("images", _patches),
    "image.resize": ("images", _resize),
    "keras.activations.relu": ("x", _relu),
    "keras.backend.relu": ("x", _relu),
    "l2_normalize": ("x", _l2_normalize),
    "matmul": ("a", _matmul),
    "max_pool": ("input", _pool),
    "max_pool2d": ("input", _pool),
    "norm": ("tensor", _norm),
    "one_hot": ("indices", _one_hot),
    "pad": ("tensor", _pad),
    "reduce_euclidean_norm": ("tensor", _norm),
    "reshape": ("tensor", _reshape),
    "resize_images": ("x", _resize_images),
    "slice": ("input_", _slice),
    "split": ("value", _split),
}
