"""Functions of `tensorflow`, `keras.backend` and `keras.ops` called on tensors.

They take the way of TensorFlow's functions that are layers by themselves: the same table, the same
refusals. What is here is what a call in Python has besides: parameters by position, several
results, sizes, and what older versions meant by the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasguard.blueprint.computation import Plan, Unsupported
from kerasguard.blueprint.keras3_operations import OPERATIONS as CLASSES
from kerasguard.blueprint.lambdas.binding import bound, planned, short_name, table_name
from kerasguard.blueprint.lambdas.different import DIFFERENT, pieces
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.operators import kind_of
from kerasguard.blueprint.lambdas.signatures import OPERATIONS, SIGNATURES
from kerasguard.blueprint.lambdas.values import told

__all__ = ["call"]


def call(
    drawing: Drawing, function: str, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> Any:
    """What a function makes of tensors: a tensor, or several.

    Args:
        drawing: gets the operations.
        function: its full name, `keras.backend.mean`.
        arguments: by position.
        named: by name.

    Raises:
        Unsupported: the function, or what it is called with, is not in the table.
    """
    short = short_name(function)
    if function.removeprefix("keras.ops.") in OPERATIONS and function.startswith("keras.ops."):
        return _operation(drawing, function, arguments, named)
    if function not in SIGNATURES:
        raise Unsupported(f"{short} is not in the table of functions")
    given = bound(short, SIGNATURES[function], arguments, named)
    if function in DIFFERENT:
        return DIFFERENT[function](drawing, short, given)
    return planned(drawing, table_name(function), given)


def _operation(
    drawing: Drawing, function: str, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> Any:
    """A function of `keras.ops`, which is an operation of that name."""
    short = function.removeprefix("keras.ops.")
    tensors, options = OPERATIONS[short]
    order = (*tensors, *options)
    given = bound(short, tuple((n, n) for n in order), arguments, named)
    unknown = set(given) - set(order)
    missing = [n for n in tensors if n not in given]
    if unknown or missing:
        raise Unsupported(f"ops.{short} with {', '.join(unknown)} and without {missing}")
    name = "".join(word.capitalize() for word in short.split("_"))
    if name not in CLASSES:
        raise Unsupported(f"ops.{short} is not an operation of Keras 3")
    module = CLASSES[name].rpartition(".")[2]
    steps = ((f"{module}.{name}", {n: told(given[n]) for n in options if n in given}),)
    made = drawing.draw(
        Plan(tuple(told(given[n]) for n in tensors), steps), kind_of(*given.values())
    )
    if short == "split":
        return pieces(drawing, made, given["x"], given.get("indices_or_sections"), given)
    return made
