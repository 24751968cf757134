"""KG440: normalisation by the batch's own statistics, also at inference.

What it looks like: `"mode": 2` on a BatchNormalization of Keras 1; `training=True` among the
arguments of a layer's call in the graph. Nothing fails: the model loads but predicts differently.

Why it happens: Keras 1's mode 2 and Keras 2's `layer(x, training=True)` also apply at inference.
Keras 3 overrides the argument in the graph with the one that the model is called with.

Source: Keras 1.2 `layers/normalization.py`; Keras 3 `models/functional.py`, `operation_fn`.

When it is exact: a BatchNormalization over the last axis is a GroupNormalization with a group per
channel over the whole batch as one sample, with the same gamma and beta; the moving statistics,
which it never used, are left out. Other axes, open sizes and further layers that learn from what
they are called on are refused. Layers that are random in training (Dropout, noise) get a warning:
they are no longer random at inference.
"""

from __future__ import annotations

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.graphs import as_graph
from kerasguard.blueprint.nodes import calls_of, history_of, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.shapes import Shape, shapes_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG440": "a layer runs in training mode at inference"}

_DROPPED = ("momentum", "moving_mean_initializer", "moving_variance_initializer", "synchronized")


def rewrite(blueprint: Blueprint) -> None:
    """Another layer for normalisations; a word for the rest."""
    for item, model in blueprint.models():
        layers = list(layers_of(model))
        found = [layer for layer in layers if _uses_batch(layer)]
        shapes = shapes_of(model) if found and as_graph(item) else {}
        edits, seen = Edits(model), {id(layer) for layer in found}
        for layer in found:
            history = history_of(calls_of(layer)[0]["args"][0]) if calls_of(layer) else None
            _normalise(blueprint, edits, layer, shapes.get(history) if history else None)
        for layer in layers:
            if id(layer) not in seen and any(map(_trains, calls_of(layer))):
                blueprint.warn(
                    layer,
                    f"this {class_of(layer)} was called with training=True, which Keras 3 "
                    "ignores at inference; call the model with training=True",
                )


def _trains(call: Json) -> bool:
    return call["kwargs"].get("training") in (True, 1)


def _uses_batch(layer: Json) -> bool:
    """Whether a BatchNormalization never uses its moving statistics."""
    if class_of(layer) != "BatchNormalization":
        return False
    asked = config_of(layer).pop("batch_statistics", False)
    return bool(asked) or any(map(_trains, calls_of(layer)))


def _normalise(blueprint: Blueprint, edits: Edits, layer: Json, shape: Shape | None) -> None:
    config, name = config_of(layer), name_of(layer)
    axis = config.get("axis", -1)
    last = shape is not None and axis in (-1, len(shape) - 1)
    if shape is None or not last or None in shape[1:] or not _agree(layer):
        blueprint.refuse(
            layer,
            f"normalises over axis {axis} by the batch's own statistics, also at inference; "
            "Keras 3 supports that only over a last axis of known size: rebuild the model and "
            "load the weights into it",
        )
        return
    kept = {key: value for key, value in config.items() if key not in _DROPPED}
    kept |= {"axis": -1, "groups": -1, "epsilon": config.get("epsilon", 1e-3)}
    layer.update(keras_object("keras.layers", "GroupNormalization", kept))
    for call in calls_of(layer):
        call["kwargs"].pop("training", None)
    layer.pop("build_config", None)
    edits.before(layer, _reshape(edits, f"{name}_batch", [1, -1, shape[-1]]))
    edits.after(layer, _reshape(edits, f"{name}_samples", [-1, *shape[1:]]))
    blueprint.note(layer, "uses the batch's own statistics, as GroupNormalization over the batch")


def _agree(layer: Json) -> bool:
    """Whether all calls agree."""
    told = {_trains(call) for call in calls_of(layer)}
    return len(told) == 1


def _reshape(edits: Edits, name: str, shape: list[int]) -> Json:
    config = {"name": edits.free_name(name), "newshape": shape}
    item = keras_object("keras.src.ops.numpy", "Reshape", config)
    return {**item, "registered_name": "Reshape"}


MIGRATION = Migration(
    "KG440",
    "Keras 1 and 2",
    lambda w: w.before_keras3,
    rewrite,
    words=("batch_statistics", "training"),
)
