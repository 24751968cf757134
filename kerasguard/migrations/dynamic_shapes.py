"""KG428: sizes that the model computes from its own tensors.

What it looks like: `tf.shape(x)[0]` inside a functional model: layers for `shape`, for the slice
and perhaps for `stack`, which a `reshape` takes as its target.

Why it happens: before Keras 3 that was how one wrote a reshape that keeps the batch size.

Source: tf.keras `layers/core/tf_op_layer.py`; Keras 3 `layers/reshaping/reshape.py`.

When it is exact: where the size is the batch size of a tensor and the first size of a reshape:
Keras' Reshape layer keeps the batch by itself and refuses a target that does not. Other computed
sizes are left as they are, and refused by the migration of TensorFlow functions.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.graphs import remove_unused
from kerasguard.blueprint.nodes import calls_of, history_of, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG428": "a size is computed inside the model"}

_SHAPES = {"shape", "compat.v1.shape", "compat.v1.shape_internal"}
_RESHAPES = {"reshape", "compat.v1.reshape", "keras.backend.reshape"}


def rewrite(blueprint: Blueprint) -> None:
    """Mark batch sizes in the targets of reshapes and take the layers out that computed them."""
    for _, model in blueprint.graphs():
        functions = {name_of(layer): _function(layer) for layer in layers_of(model)}
        layers = {name_of(layer): layer for layer in layers_of(model)}
        if not _SHAPES & set(functions.values()):
            continue
        for name, layer in layers.items():
            if functions[name] not in _RESHAPES:
                continue
            for call in calls_of(layer):
                target = _target(call["kwargs"].get("shape"), layers)
                if target is not None:
                    call["kwargs"]["shape"] = target
                    blueprint.note(layer, "its first size is the batch size, which Reshape keeps")
        idle = {n for n, function in functions.items() if function}
        remove_unused(model, idle)


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
    if not isinstance(shape, list) or not shape or not _is_batch_size(shape[0], layers):
        return None
    if all(isinstance(size, int) for size in shape[1:]):
        return [{"class_name": "__batch_size__"}, *shape[1:]]
    return None


def _is_batch_size(size: Any, layers: dict[str, Json]) -> bool:
    """Whether a tensor is `shape(x)[0]` or the first part of `unstack(shape(x))`."""
    history = history_of(size)
    maker = layers.get(history[0]) if history else None
    if history is None or maker is None:
        return False
    call = calls_of(maker)[history[1]]
    source = history_of(call["args"][0])
    if source is None or _function(layers.get(source[0], {})) not in _SHAPES:
        return False
    if _function(maker) == "__operators__.getitem":
        return call["kwargs"].get("slice_spec") in (0, [0])
    return _function(maker) == "unstack" and history[2] == 0


MIGRATION = Migration("KG428", "TensorFlow 2.4 to 2.15", lambda w: w.before_keras3, rewrite)
