"""KG433: a cropping layer that leaves nothing.

What it looks like: Cropping1D, 2D or 3D that removes everything, or more: `Values in cropping
argument should be smaller than the corresponding spatial dimension of the input`.

Why it happens: Keras 2 sliced, and a slice may be empty; Keras 3 checks.

Source: Keras 3 `layers/reshaping/cropping3d.py`.

When it is exact: always; a slice replaces the layer and is as empty as the layer's output was.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.graphs import as_graph
from kerasguard.blueprint.nodes import calls_of, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.shapes import shapes_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG433": "a cropping layer leaves nothing"}

_CLASSES = ("Cropping1D", "Cropping2D", "Cropping3D")


def rewrite(blueprint: Blueprint) -> None:
    """Slice where Keras 3 would refuse to crop."""
    for item, model in blueprint.models():
        found = [layer for layer in layers_of(model) if class_of(layer) in _CLASSES]
        shapes = shapes_of(model) if found else {}
        for layer in found:
            if 0 in (shapes.get((name_of(layer), 0, 0)) or ()) and as_graph(item):
                _slice(layer)
                blueprint.note(layer, "it crops everything, which a slice can do")


def _slice(layer: Json) -> None:
    cropping = config_of(layer)["cropping"]
    pairs = cropping if isinstance(cropping[0], list) else [cropping]
    spec: list[Any] = [_part(0, 0), *(_part(*pair) for pair in pairs), _part(0, 0)]
    name = name_of(layer)
    layer.update(keras_object("keras.src.ops.numpy", "GetItem", {"name": name}))
    layer["registered_name"] = "GetItem"
    layer.pop("build_config", None)
    for call in calls_of(layer):
        call["args"] = [call["args"][0], spec]


def _part(before: int, behind: int) -> Json:
    config = {"start": before or None, "stop": -behind or None, "step": None}
    return {"class_name": "__slice__", "config": config}


MIGRATION = Migration(
    "KG433", "before Keras 3", lambda w: w.before_keras3, rewrite, words=("Cropping",)
)
