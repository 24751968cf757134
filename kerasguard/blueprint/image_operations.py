"""TensorFlow's pooling, convolutions and functions on images in terms of Keras 3.

Each takes the call's parameters by name, as in `special_operations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kerasguard.blueprint.computation import Plan, Unsupported, one, slice_part, static
from kerasguard.blueprint.objects import Json

__all__ = ["IMAGES"]

_LAST = (None, "NWC", "NHWC", "NDHWC", "channels_last")


def _axes(given: Json) -> int:
    """How many axes besides batch and channels the function's name tells; two if none."""
    found = re.search(r"([123])d$", given["function"])
    return int(found[1]) if found else 2


def _inner(sizes: Any, axes: int = 2) -> Any:
    """Sizes without those of the batch and the channels; one number where they are equal."""
    inner = sizes[1:-1] if isinstance(sizes, list) and len(sizes) == axes + 2 else sizes
    return inner[0] if isinstance(inner, list) and len(set(inner)) == 1 else inner


def _pool(given: Json) -> Plan:
    """`nn.max_pool2d` and its kin; the name of the operation is in `function`."""
    axes = _axes(given)
    size = _inner(given["ksize"], axes)
    strides = _inner(given.get("strides") or given["ksize"], axes)
    kind = "nn.MaxPool" if "max" in given["function"] else "nn.AveragePool"
    if given.get("data_format") not in _LAST:
        raise Unsupported("it has channels first")
    options = {"pool_size": size, "strides": strides, "padding": str(given["padding"]).lower()}
    return one(given["input"], kind, **options, data_format="channels_last")


def _convolution(given: Json) -> Plan:
    """`nn.conv2d` and its kin, with kernels that are in the file."""
    depthwise, axes = "depthwise" in given["function"], _axes(given)
    kernel = static(given["filters"] if "filters" in given else given["filter"], "the kernel")
    padding = given["padding"]
    if given.get("data_format") not in _LAST or not isinstance(padding, str):
        raise Unsupported("it has channels first or explicit padding")
    options = {
        "strides": _inner(given.get("strides") or given.get("stride") or 1, axes),
        "padding": padding.lower(),
        "data_format": "channels_last",
        "dilation_rate": _inner(given.get("dilations") or 1, axes),
    }
    step = "nn.DepthwiseConv" if depthwise else "nn.Conv"
    return Plan((given["input"], kernel), ((step, options),))


def _resize(given: Json) -> Plan:
    method = given.get("method") or "bilinear"
    if given.get("preserve_aspect_ratio"):
        raise Unsupported("it keeps the aspect ratio")
    if method not in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"):
        raise Unsupported(f"its method is {method}")
    options = {
        "size": static(given["size"], "the size"),
        "interpolation": method,
        "antialias": bool(given.get("antialias")),
        "data_format": "channels_last",
    }
    return one(given["images"], "image.Resize", **options)


def _resize_node(given: Json) -> Plan:
    """`ResizeBilinear` and its kin, which know three ways to lay the corners."""
    if given.get("align_corners") or not given.get("half_pixel_centers"):
        raise Unsupported("it does not align pixels to their centers (half_pixel_centers)")
    method = given["function"].rpartition("Resize")[2].lower().removesuffix("neighbor")
    return _resize({"images": given["images"], "size": given["size"], "method": method})


def _resize_images(given: Json) -> Plan:
    if given.get("data_format") not in (None, "channels_last"):
        raise Unsupported("it has channels first")
    options = {
        "size": [given["height_factor"], given["width_factor"]],
        "interpolation": given.get("interpolation") or "nearest",
        "data_format": "channels_last",
    }
    return one(given["x"], "layers.UpSampling2D", **options)


def _patches(given: Json) -> Plan:
    options = {
        "size": _inner(given["sizes"]),
        "strides": _inner(given["strides"]),
        "dilation_rate": _inner(given.get("rates") or 1),
        "padding": str(given["padding"]).lower(),
        "data_format": "channels_last",
    }
    return one(given["images"], "image.ExtractPatches", **options)


def _crop(given: Json) -> Plan:
    names = ("offset_height", "target_height", "offset_width", "target_width")
    top, height, left, width = (static(given[name], name) for name in names)
    spec = [
        {"class_name": "__ellipsis__"},
        {"start": top, "stop": top + height},
        {"start": left, "stop": left + width},
        {"start": None},
    ]
    return Plan((given["image"], [slice_part(part) for part in spec]), (("numpy.GetItem", {}),))


def _pad(given: Json) -> Plan:
    names = {
        "top_padding": "offset_height",
        "left_padding": "offset_width",
        "target_height": "target_height",
        "target_width": "target_width",
    }
    sizes = {keras: static(given[name], name) for keras, name in names.items()}
    return one(given["image"], "image.PadImages", **sizes, data_format="channels_last")


# By name, with the name of the first parameter, which calls give by position.
IMAGES: dict[str, tuple[str, Callable[[Json], Plan]]] = {
    **{f"{kind}_pool{axes}": ("input", _pool)
       for kind in ("avg", "max") for axes in ("", "1d", "2d", "3d")},
    "conv1d": ("input", _convolution),
    "conv2d": ("input", _convolution),
    "conv3d": ("input", _convolution),
    "depthwise_conv2d": ("input", _convolution),
    "image.crop_to_bounding_box": ("image", _crop),
    "image.extract_patches": ("images", _patches),
    "image.pad_to_bounding_box": ("image", _pad),
    "image.resize": ("images", _resize),
    "raw_ops.ResizeBicubic": ("images", _resize_node),
    "raw_ops.ResizeBilinear": ("images", _resize_node),
    "raw_ops.ResizeNearestNeighbor": ("images", _resize_node),
    "resize_images": ("x", _resize_images),
}  # fmt: skip
