"""Functions that are called by their names: Python's own, of numbers, of shapes, and of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.computations import plan
from kerasguard.blueprint.lambdas.arithmetic import NUMBER_FUNCTIONS, array, is_number, sequence
from kerasguard.blueprint.lambdas.binding import short_name
from kerasguard.blueprint.lambdas.calling import call
from kerasguard.blueprint.lambdas.constants import CONSTANT_MAKERS
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.operators import binary
from kerasguard.blueprint.lambdas.signatures import SIGNATURES
from kerasguard.blueprint.lambdas.sizes import ASKED
from kerasguard.blueprint.lambdas.values import Tensor, tensors_among

__all__ = ["BUILTINS", "bound_of_slice", "call_named"]

BUILTINS = (
    "abs", "float", "int", "len", "list", "max", "min", "pow", "range", "slice", "sum", "tuple",
)  # fmt: skip
_LONGEST_RANGE = 1_000
_SETTINGS: dict[str, Any] = {"keras.backend.epsilon": 1e-07, "keras.backend.floatx": "float32"}
_MAKES_CONSTANTS = {
    "keras.backend.constant": "float32",
    "tensorflow.constant": None,
    "tensorflow.convert_to_tensor": None,
    "keras.ops.convert_to_tensor": None,
}
_COMPUTED = {f"{m}.{f}" for m in ("tensorflow", "keras.backend", "tensorflow.math")
             for f in ("sqrt", "exp", "log", "abs", "square")}  # fmt: skip


def call_named(drawing: Drawing, path: str, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What a function gives for its arguments.

    Raises:
        Unsupported: it is in no table, or not with these arguments; the text names it.
    """
    if path == "keras.backend.image_data_format" and not values and not named:
        return drawing.data_format()
    if path in _SETTINGS and not values and not named:
        drawing.take(f"{path.replace('keras.backend', 'K')}() is assumed to be {_SETTINGS[path]!r}")
        return _SETTINGS[path]
    module, _, name = path.rpartition(".")
    if module == "builtins":
        return _builtin(name, values, named, drawing)
    if path in ASKED and len(values) == 1 and not set(named) - {"name"}:
        return ASKED[path](values[0])
    if path in _MAKES_CONSTANTS and values:
        return _constant(path, values, named)
    if any(tensors_among([*values, *named.values()])):
        return call(drawing, path, values, named)
    return _of_constants(drawing, path, values, named)


def _of_constants(
    drawing: Drawing, path: str, values: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    """What a function gives for arguments without a tensor among them."""
    if path in CONSTANT_MAKERS:
        return CONSTANT_MAKERS[path](drawing, values, named)
    if path in NUMBER_FUNCTIONS:
        return _numbers(path, values, named)
    same = f"numpy.{path.rpartition('.')[2]}"
    if path in _COMPUTED and same in NUMBER_FUNCTIONS:
        return _numbers(same, values, {})
    what = "of nothing but constants" if path in SIGNATURES else "is not in the table of functions"
    raise Unsupported(f"{short_name(path)} {what}")


def _numbers(path: str, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
    dtype = named.pop("dtype", None)
    if named or (dtype is not None and not isinstance(dtype, str)):
        raise Unsupported(f"{path} with {', '.join(named) or 'a dtype'}")
    try:
        found = NUMBER_FUNCTIONS[path](*values)
        return found.astype(dtype) if dtype is not None and hasattr(found, "astype") else found
    except (TypeError, ValueError, ArithmeticError) as error:
        raise Unsupported(f"{path}: {error}") from None


def _constant(path: str, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """A constant tensor: it keeps its dtype where that decides what it is."""
    value = values[0]
    if isinstance(value, Tensor):
        if path == "tensorflow.convert_to_tensor" and not named and len(values) == 1:
            return value
        raise Unsupported(f"{path} of a tensor")
    dtype = values[1] if len(values) > 1 else named.get("dtype") or _MAKES_CONSTANTS[path]
    shape = values[2] if len(values) > 2 else named.get("shape")
    if set(named) - {"dtype", "name", "shape"} or not isinstance(dtype, (str, type(None))):
        raise Unsupported(f"{path} with arguments other than a dtype and a shape")
    found = array(value, dtype)
    if shape is not None:
        found = _shaped(found, sequence(shape), path)
    return found.item() if found.ndim == 0 else found


def _shaped(found: Any, sizes: list[Any] | None, path: str) -> Any:
    """A constant in a shape; one number fills it."""
    if sizes is None or not all(type(n) is int and 0 <= n <= _LONGEST_RANGE for n in sizes):
        raise Unsupported(f"{path} with a shape that is not in the file")
    if found.size != 1 and found.size != math.prod(sizes):
        raise Unsupported(f"{path} with a shape of another size")
    if math.prod(sizes) > _LONGEST_RANGE:
        raise Unsupported(f"{path} with a shape that is too large")
    return (
        found.reshape(sizes)
        if found.size == math.prod(sizes)
        else np.full(sizes, found.item(), found.dtype)
    )


_OF_LISTS: dict[str, Callable[[Any], Any]] = {"len": len, "list": list, "tuple": tuple}
_OF_NUMBERS: dict[str, Callable[[Any], Any]] = {"abs": abs, "float": float, "int": int}


def _builtin(name: str, values: tuple[Any, ...], named: dict[str, Any], drawing: Drawing) -> Any:
    if named:
        raise Unsupported(f"{name} with named arguments")
    if name == "abs" and len(values) == 1 and isinstance(values[0], Tensor):
        made = plan("abs", values[0].made, {}, drawing.rank_of)
        return drawing.draw(made, values[0].kind)
    if name == "pow" and len(values) == 2:
        return binary(drawing, "**", values[0], values[1], in_place=False)
    if name == "sum" and len(values) == 1:
        return _sum(drawing, values[0])
    return _plain(name, values)


def _plain(name: str, values: tuple[Any, ...]) -> Any:
    """A builtin function of numbers, or of lists."""
    if name == "slice" and 1 <= len(values) <= 3:
        return slice(*map(bound_of_slice, values))
    if name == "range" and values and all(type(n) is int for n in values):
        return list(_range(*values))
    if name == "float" and values in (("inf",), ("-inf",)):
        return float(values[0])
    if len(values) == 1 and name in _OF_LISTS | _OF_NUMBERS:
        return _of_one(name, values[0])
    numbers = sequence(values[0]) if len(values) == 1 else list(values)
    if name in ("max", "min") and numbers and all(map(is_number, numbers)):
        return {"max": max, "min": min}[name](numbers)
    raise Unsupported(f"{name} of something that is not a number")


def _of_one(name: str, value: Any) -> Any:
    """A builtin function of one list, or of one number."""
    if name in _OF_LISTS:
        items = sequence(value)
        if items is None:
            raise Unsupported(f"{name} of something that is not a list")
        return _OF_LISTS[name](items)
    if not is_number(value):
        raise Unsupported(f"{name} of something that is not a number")
    try:
        return _OF_NUMBERS[name](value)
    except (ValueError, OverflowError) as error:
        raise Unsupported(f"{name}: {error}") from None


def _sum(drawing: Drawing, listed: Any) -> Any:
    items = sequence(listed)
    if not items:
        raise Unsupported("sum of something that is not a list")
    found = items[0]
    for item in items[1:]:
        found = binary(drawing, "+", found, item, in_place=False)
    return found


def _range(*bounds: int) -> range:
    try:
        found = range(*bounds)
    except (TypeError, ValueError) as error:
        raise Unsupported(f"range: {error}") from None
    if len(found) > _LONGEST_RANGE:
        raise Unsupported(f"a range of {len(found)} numbers")
    return found


def bound_of_slice(value: Any) -> Any:
    """A bound of a slice: an integer or None."""
    if value is not None and type(value) is not int:
        raise Unsupported("a slice whose bounds are not in the file")
    return value
