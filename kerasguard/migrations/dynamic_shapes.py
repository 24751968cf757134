"""KG428: sizes that the model computes from its own tensors.

What it looks like: `tf.shape(x)[0]` inside a functional model: layers for `shape`, for the slice
and perhaps for `stack`, which a `reshape` takes as its target or `zeros` as its shape.

Why it happens: before Keras 3, this was the way to write a reshape that keeps the batch size.

Source: tf.keras `layers/core/tf_op_layer.py`; Keras 3 `layers/reshaping/reshape.py`.

When it is exact: where the size is the batch size of a tensor and the first size of a reshape:
Keras' Reshape layer always keeps the batch size; or the first of `zeros`, `ones` and `fill`, which
are made of zeros like that tensor. Other sizes become numbers where the configs give them; the
migration of TensorFlow functions refuses the rest.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.axis_operations import BATCH_FILLED
from kerasguard.blueprint.graphs import remove_unused
from kerasguard.blueprint.nodes import History, call_of, calls_of, history_of, layers_of, tensor
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of
from kerasguard.blueprint.sizes import with_numbers
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG428": "a size is computed inside the model"}

_SHAPES = {"shape", "compat.v1.shape", "compat.v1.shape_internal"}
_FILLED = {"zeros": 0, "ones": 1, "fill": None}
_RESHAPES = {"reshape", "compat.v1.reshape", "keras.backend.reshape"}


def rewrite(blueprint: Blueprint) -> None:
    """Replace sizes by numbers and batch sizes by marks; take out the layers that computed them."""
    for _, model in blueprint.graphs():
        functions = {name_of(layer): _function(layer) for layer in layers_of(model)}
        layers = {name_of(layer): layer for layer in layers_of(model)}
        if not _SHAPES & set(functions.values()):
            continue
        with_numbers(model, {n: f for n, f in functions.items() if f}, _SHAPES)
        for name, layer in layers.items():
            if functions[name] in _RESHAPES:
                _reshape(blueprint, layer, layers)
            elif functions[name] in _FILLED:
                _fill(blueprint, layer, layers)
        idle = {n for n, function in functions.items() if function}
        remove_unused(model, idle)


def _reshape(blueprint: Blueprint, layer: Json, layers: dict[str, Json]) -> None:
    for call in calls_of(layer):
        target = _target(call["kwargs"].get("shape"), layers)
        if target is not None:
            call["kwargs"]["shape"] = target
            blueprint.note(layer, "its first size is the batch size, which Reshape keeps")


def _fill(blueprint: Blueprint, layer: Json, layers: dict[str, Json]) -> None:
    """`zeros`, `ones` or `fill` of one call as a function of the tensor that has the batch."""
    config, calls = config_of(layer), calls_of(layer)
    sizes = calls[0]["args"][0] if len(calls) == 1 else None
    if not isinstance(sizes, list) or not sizes or not all(isinstance(n, int) for n in sizes[1:]):
        return
    source = _batch_of(sizes[0], layers)
    value = _FILLED[str(config["function"])]
    value = calls[0]["kwargs"].get("value") if value is None else value
    if source is None or not isinstance(value, (int, float)):
        return
    dtype = calls[0]["kwargs"].get("dtype")
    if dtype is None:
        dtype = "int32" if type(calls[0]["kwargs"].get("value")) is int else "float32"
    config["function"] = BATCH_FILLED
    options = {"sizes": sizes[1:], "value": value, "dtype": dtype}
    layer["inbound_nodes"] = [call_of(tensor(*source), **options)]
    blueprint.note(layer, "its first size is the batch size of another tensor")


def _function(layer: Json) -> str:
    if class_of(layer) in ("TFOpLambda", "SlicingOpLambda"):
        return str(config_of(layer).get("function"))
    return ""


def _target(shape: Any, layers: dict[str, Json]) -> Any:
    """A target shape with a mark for the batch size; None where it is anything else."""
    history = history_of(shape)
    if history is not None:
        maker = layers.get(history[0], {})
        if _function(maker) not in ("stack", "convert_to_tensor"):
            return None
        shape = calls_of(maker)[history[1]]["args"][0]
    if not isinstance(shape, list) or not shape or _batch_of(shape[0], layers) is None:
        return None
    if all(isinstance(size, int) for size in shape[1:]):
        return [{"class_name": "__batch_size__"}, *shape[1:]]
    return None


def _batch_of(size: Any, layers: dict[str, Json]) -> History | None:
    """The tensor whose `shape(x)[0]`, or first part of `unstack(shape(x))`, a size is."""
    history = history_of(size)
    maker = layers.get(history[0]) if history else None
    if history is None or maker is None:
        return None
    call = calls_of(maker)[history[1]]
    source = history_of(call["args"][0])
    if source is None or _function(layers.get(source[0], {})) not in _SHAPES:
        return None
    first = call["kwargs"].get("slice_spec") in (0, [0])
    picked = _function(maker) == "__operators__.getitem" and first
    if not picked and not (_function(maker) == "unstack" and history[2] == 0):
        return None
    return history_of(calls_of(layers[source[0]])[source[1]]["args"][0])


MIGRATION = Migration(
    "KG428", "TensorFlow 2.4 to 2.15", lambda w: w.before_keras3, rewrite, words=("OpLambda",)
)
