"""KG447: an adapted layer's input size is known only from its weights.

What it looks like: a Sequential whose input shape is open where its first layer, a Normalization,
has an axis: `batch_input_shape: [null, null]`, and a tensor `mean` of shape (4,). Keras 3: `All
axis values to be kept must have a known shape`.

Why it happens: in Keras 2 `adapt` built the layer for the data that it saw, and left the shape of
the model's input open; building took the size from there. Keras 3 builds from the model's input.

Source: tf.keras 2.15 `engine/base_preprocessing_layer.py`, `_adapt_maybe_build`, and
`layers/preprocessing/normalization.py`, `build`; Keras 3 `layers/preprocessing/normalization.py`.

When it is exact: always; a layer with a mean per feature accepts only inputs with that many
features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasguard.blueprint.nodes import is_graph, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, is_object, name_of, replace_all
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.tensors import Table

CODES = {"KG447": "an adapted layer's input size is known only from its weights"}


def rewrite(blueprint: Blueprint) -> None:
    """Close the input shapes that a stored mean tells."""
    sizes = {
        name: shapes[0]
        for name, around in _waiting(blueprint.architecture, ()).items()
        if len(shapes := _means(blueprint.stored, name, around)) == 1
    }
    if not sizes:
        return

    def change(part: Any) -> Any:
        opening = _opening(part)
        if opening is None or name_of(opening[1]) not in sizes:
            return part
        source, layer = opening
        size, axes = sizes[name_of(layer)], _axes(layer)
        shape = list(_shape(source))
        if len(size) != len(axes) or any(not -len(shape) <= a < len(shape) for a in axes):
            return part
        for axis, length in zip(axes, size, strict=True):
            shape[axis] = length
        blueprint.note(layer, f"the model's input is {shape}, taken from its stored mean")
        closed = {**source, "config": {**config_of(source), "batch_input_shape": shape}}
        layers = [closed if layer is source else layer for layer in _layers(part)]
        return {**part, "config": {**part["config"], "layers": layers}}

    blueprint.architecture = replace_all(blueprint.architecture, change)


def _waiting(item: Any, around: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Names of the layers whose input is open, each with the names of the models around it."""
    found: dict[str, tuple[str, ...]] = {}
    opening = _opening(item)
    if opening is not None:
        found[name_of(opening[1])] = around
    for layer in _layers(item):
        found |= _waiting(layer, (*around, name_of(layer)))
    return found


def _layers(item: Any) -> list[Json]:
    """The layers of a model; none of anything else, nor of what no Keras wrote."""
    layers = layers_of(config_of(item)) if is_object(item) else []
    return layers if all(map(is_object, layers)) else []


def _opening(item: Any) -> tuple[Json, Json] | None:
    """What holds a Sequential's open shape, and its first layer, if that is a Normalization."""
    layers = _layers(item)
    if not layers or is_graph(config_of(item)):
        return None
    source, *others = layers
    layer = others[0] if class_of(source) == "InputLayer" and others else source
    if class_of(layer) != "Normalization" or config_of(layer).get("mean") is not None:
        return None
    shape = _shape(source)
    axes = [axis for axis in _axes(layer) if -len(shape) <= axis < len(shape)]
    return (source, layer) if any(shape[axis] is None for axis in axes) else None


def _shape(source: Json) -> Sequence[int | None]:
    shape = config_of(source).get("batch_input_shape")
    return shape if isinstance(shape, (list, tuple)) else ()


def _axes(layer: Json) -> list[int]:
    axis = config_of(layer).get("axis")
    return [axis] if isinstance(axis, int) else list(axis or ())


def _means(stored: Table, name: str, around: Sequence[str]) -> list[tuple[int, ...]]:
    """Shapes of what can be the layer's mean: its own first tensor, or the only one around it."""
    own, outer = [], []
    for key, record in stored.tensors.items():
        layer = stored.layers.get(record.layer)
        if layer is None or not record.spec.shape:
            continue
        first = record.variable == "mean" or (not record.variable and key.endswith("/vars/0"))
        if layer.name == name and first:
            own.append(record.spec.shape)
        elif layer.name in around and record.variable == "mean":
            outer.append(record.spec.shape)
    return own or outer


MIGRATION = Migration("KG447", "any", lambda _: True, rewrite, words=("Normalization",))
