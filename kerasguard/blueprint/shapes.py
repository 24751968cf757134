"""Static shapes in a graph, as far as the configs tell, with channels last.

Needed where Keras 3 wants a size that older layers found out for themselves. A shape that cannot
be told is None, and so is every one that depends on it; sizes that are open are None inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from kerasguard.blueprint.layer_shapes import PLANES, RULES, window
from kerasguard.blueprint.nodes import (
    History,
    calls_of,
    history_of,
    is_graph,
    layers_of,
    tensors_in,
)
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of
from kerasguard.blueprint.operation_shapes import Shape, constant_shape, operation_shape

__all__ = ["Shape", "rank_in", "shapes_of", "window", "with_input_shapes"]

_SAME = {
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "Identity",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ThresholdedReLU",
    "UnitNormalization",
}
_MERGES = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"}


def shapes_of(model: Json) -> dict[History, Shape]:
    """The shape of every tensor of a model that can be told."""
    found: dict[History, Shape] = {}
    if not is_graph(model):
        return _in_a_row(layers_of(model))
    for layer in layers_of(model):
        if class_of(layer) == "InputLayer" and config_of(layer).get("batch_shape"):
            found[name_of(layer), 0, 0] = list(config_of(layer)["batch_shape"])
    # The configs list layers in the order of their depth; a few rounds do for shared ones.
    for _ in range(3):
        for layer in layers_of(model):
            for number, call in enumerate(calls_of(layer)):
                shape = _call(layer, call, found)
                if shape is not None:
                    found[name_of(layer), number, 0] = shape
    return found


def with_input_shapes(model: Json, layers: Sequence[Json]) -> Iterator[tuple[Json, Shape | None]]:
    """Layers of a model, each with the shape of what it is called on first, as far as told.

    The shapes are those before the first layer is given out: the caller may rewrite the model.
    """
    shapes = shapes_of(model) if layers else {}
    before = {name: other for other, name in pairwise(map(name_of, layers_of(model)))}
    for layer in layers:
        calls = calls_of(layer)
        source = history_of(calls[0]["args"][0]) if calls else None
        yield layer, shapes.get(source or (before.get(name_of(layer), ""), 0, 0))


def rank_in(model: Json) -> Callable[[Any], int | None]:
    """Tells the number of axes of a tensor of a graph, or of a list of numbers."""
    shapes: dict[History, Shape] = {}

    def rank(value: Any) -> int | None:
        history = history_of(value)
        if history is None:
            return 1 + (rank(value[0]) or 0) if isinstance(value, list) and value else 0
        if not shapes:
            shapes.update(shapes_of(model))
        return len(shapes[history]) if history in shapes else None

    return rank


def _in_a_row(layers: list[Json]) -> dict[History, Shape]:
    """The shapes in a Sequential model."""
    found: dict[History, Shape] = {}
    start = config_of(layers[0]).get("batch_shape") if layers else None
    shape: Shape | None = list(start) if start else None
    for layer in layers:
        if class_of(layer) != "InputLayer":
            shape = None if shape is None else _layer(layer, list(shape))
        if shape is not None:
            found[name_of(layer), 0, 0] = shape
    return found


def _call(layer: Json, call: Json, known: dict[History, Shape]) -> Shape | None:
    if class_of(layer).startswith("ops."):
        return _operation(layer, call, known)
    inputs = [known.get(history) for history in tensors_in(call["args"])]
    if not inputs or any(shape is None for shape in inputs):
        return None
    given = [list(shape) for shape in inputs if shape is not None]
    single = history_of(call["args"][0]) is not None
    return _layer(layer, given[0]) if single else _merge(layer, given)


def _operation(layer: Json, call: Json, known: dict[History, Shape]) -> Shape | None:
    def shape_of(value: Any) -> Shape | None:
        history = history_of(value)
        return constant_shape(value) if history is None else known.get(history)

    kind, config = class_of(layer).removeprefix("ops."), config_of(layer)
    found: Shape | None = operation_shape(kind, config, call["args"], shape_of)
    return found


def _merge(layer: Json, given: list[Shape]) -> Shape | None:
    if class_of(layer) in _MERGES:
        return given[0] if all(shape == given[0] for shape in given) else None
    if class_of(layer) == "Concatenate":
        axis = config_of(layer).get("axis", -1)
        sizes = [shape[axis] for shape in given]
        result = given[0]
        result[axis] = None if None in sizes else sum(sizes)
        return result
    return None


def _layer(layer: Json, shape: Shape) -> Shape | None:
    """What a layer makes of one tensor."""
    kind, config = class_of(layer), config_of(layer)
    if kind in _SAME:
        return shape
    if config.get("data_format") == "channels_first":
        return None
    planes = re.search(r"([123])D", kind)
    rule = RULES.get(kind) or (PLANES.get(kind.replace(planes[0], "")) if planes else None)
    if rule is None or (planes is not None and len(shape) != int(planes[1]) + 2):
        return None
    return rule(config, shape)
