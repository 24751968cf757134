"""Arithmetic and functions of numbers, tuples and constant arrays, computed within budgets."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.lambdas.values import Open

__all__ = ["NUMBER_FUNCTIONS", "array", "compute", "is_number", "negate", "sequence"]

_MOST_VALUES = 50_000
_LARGEST = 1 << 256

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def is_number(value: Any) -> bool:
    """Whether this is a number, a bool among them."""
    return isinstance(value, (bool, int, float))


def sequence(value: Any) -> list[Any] | None:
    """The items of a tuple or list; None for anything else."""
    if isinstance(value, (tuple, list)):
        return list(value)
    return list(value.items) if isinstance(value, Open) else None


def array(value: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """A constant array of numbers.

    Raises:
        Unsupported: it holds something else, or too much.
    """
    count = 0

    def plain(item: Any) -> Any:
        nonlocal count
        count += 1
        if count > _MOST_VALUES:
            raise Unsupported(f"an array of more than {_MOST_VALUES} numbers")
        if isinstance(item, np.ndarray):
            return item.tolist()
        items = sequence(item)
        if items is not None:
            return [plain(one) for one in items]
        if not is_number(item) or (isinstance(item, int) and abs(item) >= 1 << 62):
            raise Unsupported("an array of something other than numbers")
        return item

    try:
        return np.array(plain(value), dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unsupported(f"an array that NumPy cannot make: {error}") from None


def compute(sign: str, left: Any, right: Any) -> Any:
    """An operator between two constants.

    Raises:
        Unsupported: it is not arithmetic of numbers, or too large.
    """
    if sign in ("is", "is not"):
        return _same(sign, left, right)
    if sign in ("in", "not in") and sequence(right) is not None:
        return (left in (sequence(right) or [])) == (sign == "in")
    if sign in ("==", "!=") and isinstance(left, (str, type(None))):
        return _OPERATORS[sign](left, right)
    if sign in ("+", "*") and (isinstance(left, (tuple, list)) or isinstance(right, (tuple, list))):
        return _joined(sign, left, right)
    known = (is_number(x) or isinstance(x, np.ndarray) for x in (left, right))
    if not all(known):
        raise Unsupported(f"{_shown(left)} {sign} {_shown(right)} is not arithmetic of numbers")
    try:
        return _computed(sign, left, right)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Unsupported(f"{_shown(left)} {sign} {_shown(right)}: {error}") from None


def _computed(sign: str, left: Any, right: Any) -> Any:
    if sign == "classic /":
        whole = all(isinstance(x, int) for x in (left, right))
        sign = "//" if whole else "/"
    large = isinstance(left, int) and isinstance(right, int) and abs(right) > 64
    if sign not in _OPERATORS or (sign == "**" and large):
        raise ValueError(f"{sign} is not computed")
    with np.errstate(all="ignore"):
        found = _OPERATORS[sign](left, right)
    if isinstance(found, complex) or (isinstance(found, int) and abs(found) >= _LARGEST):
        raise ValueError("the result is not a number of a model")
    if isinstance(found, np.ndarray) and found.size > _MOST_VALUES:
        raise ValueError("the result is too large")
    return found


def _same(sign: str, left: Any, right: Any) -> bool:
    """`is`, for None and the truth values, of which there is one each."""
    if not any(x is None or isinstance(x, bool) for x in (left, right)):
        raise Unsupported("`is` between two values")
    return (left is right) == (sign == "is")


def _joined(sign: str, left: Any, right: Any) -> Any:
    if sign == "+" and type(left) is type(right):
        return left + right
    items, count = (left, right) if isinstance(left, (tuple, list)) else (right, left)
    if sign != "*" or type(count) is not int or count * len(items) > _MOST_VALUES:
        raise Unsupported("tuples and lists are joined with something other than a tuple or list")
    return items * count


def negate(sign: str, value: Any) -> Any:
    """An operator before a constant; raises as `compute`."""
    if sign == "not":
        if not is_number(value) and not isinstance(value, (str, type(None), tuple, list)):
            raise Unsupported("`not` of a value that may be true or false")
        return not value
    if not is_number(value) and not isinstance(value, np.ndarray):
        raise Unsupported(f"{sign}{_shown(value)} is not arithmetic of numbers")
    if sign == "~":
        if not isinstance(value, int):
            raise Unsupported("~ of something that is not an integer")
        return ~value
    return -value if sign == "-" else value


def _shown(value: Any) -> str:
    if value is None or is_number(value) or isinstance(value, str):
        return f"{value!r:.40}"
    return f"a {type(value).__name__}"


def _elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy on numbers and constant arrays."""

    def apply(*values: Any) -> Any:
        with np.errstate(all="ignore"):
            found = function(*(array(value) for value in values))
        return found.item() if np.ndim(found) == 0 else found

    return apply


def _arange(*bounds: Any) -> Any:
    if not all(isinstance(x, int) for x in bounds) or len(range(*bounds)) > _MOST_VALUES:
        raise Unsupported("a range of something other than a few integers")
    return np.arange(*bounds)


def _filled(value: int) -> Callable[..., Any]:
    def fill(shape: Any) -> Any:
        sizes = sequence(shape) or [shape]
        if not all(type(n) is int and n >= 0 for n in sizes) or math.prod(sizes) > _MOST_VALUES:
            raise Unsupported("an array whose size is not in the file, or too large")
        return np.full(sizes, float(value))

    return fill


_UNARY = (
    "sqrt", "exp", "log", "log2", "log10", "log1p", "expm1", "abs", "square", "sin", "cos", "tan",
    "tanh", "floor", "ceil", "sign",
)  # fmt: skip
NUMBER_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f"numpy.{name}": _elementwise(getattr(np, name)) for name in _UNARY},
    **{
        f"math.{name}": _elementwise(getattr(np, name))
        for name in ("sqrt", "exp", "log", "log2", "log10", "sin", "cos", "tan", "tanh")
    },
    "math.pow": lambda x, y: compute("**", float(x), float(y)),
    "math.floor": lambda x: math.floor(x),
    "math.ceil": lambda x: math.ceil(x),
    "numpy.power": lambda x, y: compute("**", x, y),
    "numpy.prod": _elementwise(np.prod),
    "numpy.array": array,
    "numpy.asarray": array,
    "numpy.arange": _arange,
    "numpy.ones": _filled(1),
    "numpy.zeros": _filled(0),
    "numpy.float32": lambda x: float(np.float32(x)),
    "numpy.float64": lambda x: float(x),
    "numpy.int32": lambda x: int(x),
    "numpy.int64": lambda x: int(x),
    "tensorflow.range": _arange,
    "keras.backend.arange": _arange,
}
"""Functions of numbers, by their full names."""
