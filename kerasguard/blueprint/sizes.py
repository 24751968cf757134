"""Sizes of tensors that a graph computes and its configs tell: numbers in their place."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kerasguard.blueprint.nodes import History, calls_of, history_of, layers_of
from kerasguard.blueprint.objects import Json, name_of, replace_all
from kerasguard.blueprint.shapes import Shape, shapes_of

__all__ = ["with_numbers"]

Number = int | float
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "math.add": operator.add,
    "math.floordiv": operator.floordiv,
    "math.multiply": operator.mul,
    "math.subtract": operator.sub,
    "__operators__.add": operator.add,
}


def with_numbers(model: Json, functions: Mapping[str, str], shapes: Collection[str]) -> None:
    """Put numbers where a call takes, beside its first tensor, a size that is known.

    Args:
        model: config of a functional model; changed.
        functions: of TensorFlow, by the name of the layer that calls one.
        shapes: names of the function `shape`.
    """
    known = _numbers(model, functions, shapes)

    def number(part: Any) -> Any:
        history = history_of(part)
        return known.get(history, part) if history else part

    for layer in layers_of(model) if known else ():
        for call in calls_of(layer) if name_of(layer) in functions else ():
            call["kwargs"] = replace_all(call["kwargs"], number)
            first = call["args"][0] if call["args"] else None
            if isinstance(first, list):
                call["args"] = [replace_all(first, number), *call["args"][1:]]


def _numbers(
    model: Json, functions: Mapping[str, str], shapes: Collection[str]
) -> dict[History, Number]:
    known: dict[History, Number] = {}
    sizes = shapes_of(model)
    made = {name_of(layer): layer for layer in layers_of(model)}
    for _ in range(3):  # a size of sizes of sizes
        for name, function in functions.items():
            for count, call in enumerate(calls_of(made[name])):
                if function == "__operators__.getitem":
                    value = _size(call, made, functions, shapes, sizes)
                else:
                    value = _computed(function, call, known)
                if value is not None:
                    known[name, count, 0] = value
    return known


def _size(
    call: Json,
    made: Mapping[str, Json],
    functions: Mapping[str, str],
    shapes: Collection[str],
    sizes: Mapping[History, Shape],
) -> Number | None:
    """The size that `shape(x)[n]` picks."""
    source, axis = history_of(call["args"][0]), call["kwargs"].get("slice_spec")
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if source is None or functions.get(source[0]) not in shapes or not isinstance(axis, int):
        return None
    measured = history_of(calls_of(made[source[0]])[source[1]]["args"][0])
    shape = sizes.get(measured) if measured else None
    size = shape[axis] if shape and -len(shape) <= axis < len(shape) else None
    return size if isinstance(size, int) else None


def _computed(function: str, call: Json, known: Mapping[History, Number]) -> Number | None:
    """What arithmetic makes of known sizes."""
    given = (call["args"][0], call["kwargs"].get("y"))
    values = [known.get(history) if (history := history_of(x)) else x for x in given]
    if function == "cast" and values[0] is not None and history_of(given[0]):
        whole = str(call["kwargs"].get("dtype")).startswith("int")
        return values[0] if whole else float(values[0])
    if function not in _ARITHMETIC or not any(map(history_of, given)):
        return None
    if not all(isinstance(value, (int, float)) for value in values):
        return None
    found: Number = _ARITHMETIC[function](*values)
    return found
