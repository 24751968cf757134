"""KG426: LocallyConnected1D and LocallyConnected2D.

What it looks like: layers of these classes: `Unknown layer: 'LocallyConnected2D'`.

Why it happens: Keras 3 removed them.

Source: Keras 2 `layers/locally_connected/`; Keras 3 `ops.image.extract_patches`,
`layers/core/einsum_dense.py`.

When it is exact: always, where the input's size is known, as it had to be. A locally connected
layer is a separate dense layer at every position: patches are taken, and an EinsumDense (under the
old name, so that it gets the weights) multiplies each with its own kernel, which
`layouts/locally_connected` makes of the stored one, whatever the `implementation`. Where the writer
had channels first, patches are put in that order.
"""

from __future__ import annotations

import math
from typing import Any

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.graphs import as_graph
from kerasguard.blueprint.nodes import calls_of, history_of, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.shapes import Shape, shapes_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG426": "a locally connected layer, which Keras 3 does not have"}

_CLASSES = ("LocallyConnected1D", "LocallyConnected2D")
_DENSE = (
    "name",
    "trainable",
    "dtype",
    "activation",
    "kernel_initializer",
    "kernel_regularizer",
    "kernel_constraint",
    "bias_initializer",
    "bias_regularizer",
    "bias_constraint",
    "activity_regularizer",
)


def rewrite(blueprint: Blueprint) -> None:
    """Patches and an EinsumDense for every such layer."""
    for item, model in blueprint.models():
        found = [layer for layer in layers_of(model) if class_of(layer) in _CLASSES]
        shapes = shapes_of(model) if found and as_graph(item) else {}
        edits = Edits(model)
        for layer in found:
            history = history_of(calls_of(layer)[0]["args"][0]) if calls_of(layer) else None
            shape = shapes.get((name_of(layer), 0, 0))
            if history not in shapes or shape is None or None in shape[1:]:
                blueprint.refuse(layer, f"{class_of(layer)} whose input has no known size")
            else:
                _replace(blueprint, edits, layer, (shapes[history], shape))


def _replace(blueprint: Blueprint, edits: Edits, layer: Json, sizes: tuple[Shape, Shape]) -> None:
    old, config, name = class_of(layer), config_of(layer), name_of(layer)
    kernel, strides = _pair(config["kernel_size"]), _pair(config.get("strides", 1))
    options = {
        "size": kernel,
        "strides": strides,
        "padding": "valid",
        "data_format": "channels_last",
    }
    padded = _padding(sizes, kernel, strides) if config.get("padding") == "same" else []
    layer.update(keras_object("keras.layers", "EinsumDense", _dense(config, sizes[1])))
    layer.pop("build_config", None)
    steps: list[tuple[str, str, Json]] = [*padded, ("image", "ExtractPatches", options)]
    if old == "LocallyConnected1D":
        line: Json = {"axis": 2}
        steps = [("numpy", "ExpandDims", line), *steps, ("numpy", "Squeeze", line)]
    if config.get("patch_order") == "channels_first":
        steps += _channels_first(sizes[1][:-1], math.prod(kernel), sizes[0][-1])
    for module, class_name, values in steps:
        new = edits.free_name(f"{name}_{class_name.lower()}")
        item = keras_object(f"keras.src.ops.{module}", class_name, {"name": new, **values})
        edits.before(layer, {**item, "registered_name": class_name})
    blueprint.note(layer, f"{old} is computed by patches and an EinsumDense")


def _dense(config: Json, shape: Shape) -> Json:
    """The config of the EinsumDense with a kernel for each place."""
    dense = {key: config[key] for key in _DENSE if key in config}
    places = "hw"[: len(shape) - 2]
    dense["equation"] = f"b{places}k,{places}kf->b{places}f"
    dense["output_shape"] = shape[1:]
    dense["bias_axes"] = f"{places}f" if config.get("use_bias", True) else None
    return dense


def _padding(
    sizes: tuple[Shape, Shape], kernel: list[int], strides: list[int]
) -> list[tuple[str, str, Json]]:
    """Zeros around, so that each patch has its place in its middle, as Keras 2 had it."""
    width = [[0, 0]]
    for n, (size, stride) in enumerate(zip(kernel, strides, strict=True), 1):
        inputs, places = (shape[n] if n < len(shape) - 1 else 1 for shape in sizes)
        reach = (places - 1) * stride + size - size // 2
        width.append([size // 2, max(reach - inputs, 0)])
    return [("numpy", "Pad", {"pad_width": [*width, [0, 0]], "mode": "constant"})]


def _channels_first(places: Shape, area: int, channels: int) -> list[tuple[str, str, Json]]:
    """Put the numbers of each patch in the order channels, rows, columns."""
    rank = len(places)
    last: list[Any] = [rank + 1, rank]
    return [
        ("numpy", "Reshape", {"newshape": [-1, *places[1:], area, channels]}),
        ("numpy", "Transpose", {"axes": [*range(rank), *last]}),
        ("numpy", "Reshape", {"newshape": [-1, *places[1:], channels * area]}),
    ]


def _pair(value: int | list[int]) -> list[int]:
    """Two sizes; a line is a plane of width one."""
    sizes = value if isinstance(value, list) else [value]
    return [*sizes, 1] if len(sizes) == 1 else sizes


MIGRATION = Migration(
    "KG426", "before Keras 3", lambda w: w.before_keras3, rewrite, words=("LocallyConnected",)
)
