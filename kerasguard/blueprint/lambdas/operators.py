"""Operators of Python: on tensors they become operations, on constants they are computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.computations import plan
from kerasguard.blueprint.lambdas.arithmetic import compute, is_number, negate, sequence
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.kinds import merged
from kerasguard.blueprint.lambdas.values import Open, Size, Tensor, tensors_among, told

__all__ = ["binary", "kind_of", "operate", "unary"]

_LOGICAL = {"&": "logical_and", "|": "logical_or", "^": "logical_xor"}

_OPERATORS = {
    "+": "add", "-": "subtract", "*": "multiply", "/": "truediv", "classic /": "truediv",
    "//": "floordiv", "%": "floormod", "**": "pow", "@": "matmul", "<": "less",
    "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal", "!=": "not_equal",
}  # fmt: skip


def binary(drawing: Drawing, sign: str, left: Any, right: Any, *, in_place: bool) -> Any:
    """An operator between two values; raises `Unsupported` where it has no equivalent.

    In place it changes a list or an array for every name that holds it; tensors, numbers and
    tuples are replaced, as by the plain operator.
    """
    if in_place and isinstance(left, (list, Open, np.ndarray)):
        raise Unsupported(f"{sign}= of a list or an array, which other names may hold,")
    if sign in ("is", "is not") and isinstance(left, Tensor) and right is None:
        return sign == "is not"
    tensors = [isinstance(x, Tensor) for x in (left, right)]
    if any(tensors):
        if not all(map(_is_operand, (left, right))):
            raise Unsupported(f"{sign} of a tensor and something else")
        return operate(drawing, sign, left, right)
    sizes = [x for x in (left, right) if isinstance(x, Size)]
    if len(sizes) == 1 and sign == "*":
        (times,) = (x for x in (left, right) if not isinstance(x, Size))
        if type(times) is int:
            return replace(sizes[0], times=sizes[0].times * times)
    return compute(sign, left, right)


def unary(drawing: Drawing, sign: str, value: Any) -> Any:
    """An operator before a value; raises as `binary`."""
    if not isinstance(value, Tensor):
        return negate(sign, value)
    name = {"-": "negative", "~": "logical_not"}.get(sign)
    if name is None or (sign == "~" and value.kind != "bool"):
        raise Unsupported(f"{sign} of a tensor")
    return drawing.draw(plan(name, value.made, {}, drawing.rank_of), value.kind)


def _is_operand(value: Any) -> bool:
    numbers = sequence(value)
    return (
        isinstance(value, Tensor)
        or is_number(value)
        or hasattr(value, "tolist")
        or (numbers is not None and not any(tensors_among(numbers)))
    )


def operate(drawing: Drawing, sign: str, left: Any, right: Any) -> Tensor:
    """An operator of which one side at least is a tensor.

    Raises:
        Unsupported: it is none of Keras 3.
    """
    kinds = [x.kind for x in (left, right) if isinstance(x, Tensor)]
    if sign in ("==", "!=") and drawing.tensorflow != 2:
        raise Unsupported(
            f"{sign} of tensors, which TensorFlow 1 computes as `is` and TensorFlow 2 element by "
            "element; the file does not say which"
        )
    if sign == "classic /" and kinds != ["float"] * len(kinds):
        raise Unsupported("Python 2's division of values that may be integers")
    if sign in _LOGICAL:
        if set(kinds) != {"bool"}:
            raise Unsupported(f"{sign} of values that may be integers")
        name = _LOGICAL[sign]
    elif sign in _OPERATORS:
        name = _OPERATORS[sign]
    else:
        raise Unsupported(f"{sign} of a tensor")
    given = {"b" if name == "matmul" else "y": told(right)}
    return drawing.draw(plan(name, told(left), given, drawing.rank_of), kind_of(left, right))


def kind_of(*values: Any) -> str:
    """The kind of what is computed of some values: a float among them makes it one."""
    kinds = {tensor.kind for tensor in tensors_among(values)}
    return merged(kinds | {"float" for value in values if isinstance(value, float)})
