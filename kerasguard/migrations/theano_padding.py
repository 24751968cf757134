"""KG441: `same` and `full` padding as Theano had it.

What it looks like: `"backend": "theano"` and `"padding": "same"` (Keras 1: `border_mode`) on a
convolution with strides or an even kernel, or on a pooling layer. Nothing fails: the model loads
but predicts differently. Or `"padding": "full"`, which Keras 3 refuses.

Why it happens: Theano centres each window on its place, so that it starts half a kernel before it;
TensorFlow and Keras 3 share what is missing between both ends, which differs for even kernels and,
depending on the size, for strides. Theano's poolings start up to a whole window before. `full` is
every place at which the kernel meets the image, and only Theano had it.

Source: Keras 1.2 and 2.3 `backend/theano_backend.py`, `_postprocess_conv2d_output`, `pool2d`.

When it is exact: a convolution gets a layer of zeros in front and no padding of its own, where the
strides are one or the size is known; what a transposed one makes without padding is cut. Poolings
and convolutional LSTMs are left as they are where both ways are the same, and refused otherwise, as
are transposed convolutions with an even kernel or one that is shorter than the stride.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.nodes import layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.shapes import Shape, with_input_shapes
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG441": "Theano's padding is placed differently"}

_CONVOLUTIONS = re.compile(r"(Depthwise|Separable)?Conv([123])D")
_POOLINGS = re.compile(r"(Average|Max)Pooling[123]D")
_OTHERS = re.compile(r"Conv[123]DTranspose|ConvLSTM[123]D")


def rewrite(blueprint: Blueprint) -> None:
    """Zeros in front of convolutions; refuse the rest where it differs."""
    for _, model in blueprint.models():
        padded = [layer for layer in layers_of(model) if _differs(blueprint, layer)]
        edits = Edits(model)
        for layer, shape in with_input_shapes(model, padded):
            _pad(blueprint, edits, layer, shape)
    for wrapper in blueprint.layers("TimeDistributed"):
        inner = config_of(wrapper).get("layer")
        if isinstance(inner, dict) and _differs(blueprint, inner):
            _pad(blueprint, None, inner, None)


def _differs(blueprint: Blueprint, layer: Json) -> bool:
    """Whether a layer's padding may be another one in Keras 3."""
    padding = config_of(layer).get("padding")
    return padding == "full" or (padding == "same" and blueprint.writer.backend == "theano")


def _pad(blueprint: Blueprint, edits: Edits | None, layer: Json, shape: Shape | None) -> None:
    kind, config = class_of(layer), config_of(layer)
    if "Transpose" in kind and edits is not None and _cut(blueprint, edits, layer):
        return
    convolves = _CONVOLUTIONS.fullmatch(kind)
    if not (convolves or _POOLINGS.fullmatch(kind) or _OTHERS.fullmatch(kind)):
        return
    edges = _edges(config, kind, shape)
    same = config["padding"] == "same" and "Transpose" not in kind
    if same and edges is not None and all(theirs == ours for theirs, ours in edges):
        return
    if edits is None or not convolves or edges is None:
        blueprint.refuse(
            layer,
            f"padding {config['padding']!r} of {kind} is placed differently by Theano, which "
            "Keras 3 cannot reproduce; rebuild the model with explicit padding and load the "
            "weights into it",
        )
        return
    was, config["padding"] = config["padding"], "valid"
    width = [list(theirs) for theirs, _ in edges]
    name = edits.free_name(f"{name_of(layer)}_padding")
    options: Json = {"name": name, "padding": width[0] if len(width) == 1 else width}
    options |= {} if len(width) == 1 else {"data_format": "channels_last"}
    edits.before(layer, keras_object("keras.layers", f"ZeroPadding{len(width)}D", options))
    blueprint.note(
        layer, f"padding {was!r} was placed differently by Theano: {width} zeros in front"
    )


def _cut(blueprint: Blueprint, edits: Edits, layer: Json) -> bool:
    """Cut what a transposed convolution makes where Theano cut it; whether that is settled.

    What it makes without padding is as much longer as the kernel is than the stride.
    """
    kind, config = class_of(layer), config_of(layer)
    rank = int(re.sub(r"\D", "", kind))
    kernels, strides = (_sizes(config.get(key) or 1, rank) for key in ("kernel_size", "strides"))
    edges = [(k // 2, k - s - k // 2) for k, s in zip(kernels, strides, strict=True)]
    ours = [((k - s) // 2, k - s - (k - s) // 2) for k, s in zip(kernels, strides, strict=True)]
    if not _was_cut(config, kernels, rank) or any(end < 0 for edge in edges for end in edge):
        return False
    if edges != ours:
        config["padding"] = "valid"
        name = edits.free_name(f"{name_of(layer)}_cropping")
        cropping = [list(edge) for edge in edges]
        options: Json = {"name": name, "cropping": cropping if rank > 1 else cropping[0]}
        options |= {"data_format": "channels_last"} if rank > 1 else {}
        edits.after(layer, keras_object("keras.layers", f"Cropping{rank}D", options))
        blueprint.note(layer, f"padding 'same' cropped its output differently with Theano: {edges}")
    return True


def _was_cut(config: Json, kernels: Sequence[int], rank: int) -> bool:
    """Whether Theano cut the layer's output; it had no even kernels and no dilation here."""
    dilated = any(d != 1 for d in _sizes(config.get("dilation_rate") or 1, rank))
    told = config.get("output_padding") is not None or dilated
    return config["padding"] == "same" and not told and all(k % 2 for k in kernels)


_Ends = tuple[int, int]


def _edges(config: Json, kind: str, shape: Shape | None) -> list[tuple[_Ends, _Ends]] | None:
    """Zeros before and behind along each axis, Theano's and ours; None where not known."""
    pools = "Pooling" in kind
    match = re.search(r"([123])D", kind)
    rank = int(match[1]) if match else 1
    windows = _sizes(config.get("pool_size" if pools else "kernel_size", 2), rank)
    strides = _sizes(config.get("strides") or (windows if pools else 1), rank)
    dilation = _sizes(config.get("dilation_rate") or 1, rank)
    sizes = shape[1:-1] if shape is not None and len(shape) == rank + 2 else [None] * rank
    found = []
    for size, window, stride, gap in zip(sizes, windows, strides, dilation, strict=True):
        reach = (window - 1) * gap + 1
        whole = reach - 1, reach - 1
        full = config["padding"] == "full"
        ends = (whole, whole) if full else _along(size, reach, stride, pools=pools)
        if ends is None:
            return None
        found.append(ends)
    return found


def _along(size: Any, reach: int, stride: int, *, pools: bool) -> tuple[_Ends, _Ends] | None:
    """Theano's and our zeros along one axis."""
    if size is None and stride > 1:
        return None
    missing = (
        reach - 1 if size is None else max((-(-size // stride) - 1) * stride + reach - size, 0)
    )
    ours = missing // 2, missing - missing // 2
    first = (reach - 2 if reach % 2 and reach > 2 else reach - 1) if pools else reach // 2
    return (first, max(missing - first, 0)), ours


def _sizes(value: Any, count: int) -> list[int]:
    return list(value) if isinstance(value, (list, tuple)) else [value] * count


MIGRATION = Migration(
    "KG441", "Keras 1 and 2 with Theano", lambda w: w.before_keras3, rewrite, words=("padding",)
)
