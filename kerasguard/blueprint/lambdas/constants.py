"""Functions of TensorFlow and Keras' backend that make constants, or change constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kerasguard.blueprint.axis_operations import BATCH_FILLED
from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.computations import plan
from kerasguard.blueprint.lambdas.arithmetic import array, is_number, sequence
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.values import Size, Tensor

__all__ = ["CONSTANT_MAKERS"]

_MOST_VALUES = 50_000
Maker = Callable[[Drawing, Mapping[str, Any]], Any]


def _dtype(given: Mapping[str, Any], default: str) -> str:
    dtype = given.get("dtype")
    if dtype is not None and not isinstance(dtype, str):
        raise Unsupported("a dtype that is not in the file")
    return dtype or default


def _plain(found: np.ndarray[Any, Any]) -> Any:
    return found.item() if found.ndim == 0 else found


def _cast(_: Drawing, given: Mapping[str, Any]) -> Any:
    value, dtype = given["x"], _dtype(given, "float32")
    if isinstance(value, Size):
        raise Unsupported("a size that is not in the file")
    whole = "int" in dtype and isinstance(value, float)
    if whole and not (math.isfinite(value) and abs(value) < 1 << 31):
        raise Unsupported(f"{value} as a whole number")
    return _plain(array(value).astype(dtype))


def _filled(value: float | None, default: str) -> Maker:
    """`zeros`, `ones` and `fill`, also with as many rows as a tensor has."""

    def make(drawing: Drawing, given: Mapping[str, Any]) -> Any:
        number = given.get("value") if value is None else value
        sizes = sequence(given["shape"])
        if not is_number(number) or sizes is None:
            raise Unsupported("a constant whose shape or value is not in the file")
        dtype = _dtype(given, default if isinstance(number, float) else "int32")
        first = sizes[0] if sizes else None
        rest = sizes[1:] if isinstance(first, Size) else sizes
        if not all(type(n) is int and n >= 0 for n in rest) or math.prod(rest) > _MOST_VALUES:
            raise Unsupported("a constant whose shape is not in the file, or too large")
        if not isinstance(first, Size):
            return np.full(rest, number, dtype) if rest else number
        return _rows(drawing, first, rest, number, dtype)

    return make


def _rows(drawing: Drawing, rows: Size, sizes: list[int], value: Any, dtype: str) -> Tensor:
    if not rows.is_batch_of(rows.tensor) or len(sizes) == 0:
        raise Unsupported("a constant with a size that is not in the file")
    options = {"value": value, "sizes": sizes, "dtype": dtype}
    kind = "float" if "float" in dtype else "int"
    return drawing.draw(plan(BATCH_FILLED, rows.tensor.made, options, drawing.rank_of), kind)


def _eye(_: Drawing, given: Mapping[str, Any]) -> Any:
    rows, columns = given["size"], given.get("columns")
    columns = rows if columns is None else columns
    if not all(type(n) is int and 0 < n <= 200 for n in (rows, columns)):
        raise Unsupported("an identity matrix whose size is not in the file, or too large")
    return np.eye(rows, columns, dtype=_dtype(given, "float32"))


def _linspace(_: Drawing, given: Mapping[str, Any]) -> Any:
    count = given.get("num", 50)
    if type(count) is not int or not 0 < count <= _MOST_VALUES:
        raise Unsupported("a range of values whose length is not in the file, or too large")
    if not all(is_number(given[name]) for name in ("start", "stop")):
        raise Unsupported("a range of values whose ends are not in the file")
    return np.linspace(given["start"], given["stop"], count)


def _changed(change: Callable[[np.ndarray[Any, Any], Any], Any], option: str = "") -> Maker:
    def make(_: Drawing, given: Mapping[str, Any]) -> Any:
        how = given.get(option)
        if option and not _is_plain(how):
            raise Unsupported("a constant array changed by what is not in the file")
        found = np.asarray(change(array(given["x"]), how))
        if found.size > _MOST_VALUES:
            raise Unsupported("a constant array that is too large")
        return _plain(found)

    return make


def _is_plain(how: Any) -> bool:
    items = sequence(how)
    return all(type(n) is int for n in ([how] if items is None else items) if n is not None)


def _expanded(value: np.ndarray[Any, Any], axis: Any) -> Any:
    return np.expand_dims(value, -1 if axis is None else axis)


def _tile(drawing: Drawing, given: Mapping[str, Any]) -> Any:
    """A constant, repeated; for each row of a tensor if it has one row."""
    constant, times = array(given["x"]), sequence(given["how"]) or [given["how"]]
    rows = times[0]
    if not isinstance(rows, Size):
        whole = all(type(n) is int and n >= 0 for n in times)
        if not whole or constant.size * math.prod(times) > _MOST_VALUES:
            raise Unsupported("a constant array repeated a number of times that is not in the file")
        return np.tile(constant, times)
    if len(times) != constant.ndim or constant.shape[0] != 1 or set(times[1:]) - {1}:
        raise Unsupported("a constant array repeated a number of times that is not in the file")
    zeros = _rows(drawing, rows, list(constant.shape[1:]), 0, "float32")
    added = plan("add", zeros.made, {"y": constant.tolist()}, drawing.rank_of)
    return drawing.draw(added, "float")


_MAKERS: dict[str, tuple[str, Maker]] = {
    "cast": ("x dtype", _cast),
    "expand_dims": ("x axis", _changed(_expanded, "axis")),
    "eye": ("size columns", _eye),
    "fill": ("shape value", _filled(None, "float32")),
    "linspace": ("start stop num", _linspace),
    "ones": ("shape dtype", _filled(1.0, "float32")),
    "ones_like": ("x", _changed(lambda x, _: np.ones_like(x))),
    "permute_dimensions": ("x pattern", _changed(np.transpose, "pattern")),
    "reshape": ("x shape", _changed(np.reshape, "shape")),
    "tile": ("x how", _tile),
    "transpose": ("x perm", _changed(np.transpose, "perm")),
    "zeros": ("shape dtype", _filled(0.0, "float32")),
    "zeros_like": ("x", _changed(lambda x, _: np.zeros_like(x))),
}  # fmt: skip
# What else their parameters are called.
_NAMES = {
    "dims": "shape", "input": "x", "a": "x", "tensor": "x", "multiples": "how", "n": "how",
    "num_rows": "size", "num_columns": "columns", "N": "size", "M": "columns",
}  # fmt: skip


def _maker(name: str, parameters: str, make: Maker) -> Callable[..., Any]:
    order = parameters.split()

    def call(drawing: Drawing, values: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        if len(values) > len(order):
            raise Unsupported(f"{name} with {len(values)} arguments")
        given = dict(zip(order, values, strict=False))
        for word, value in named.items():
            known = word if word in (*order, "dtype") else _NAMES.get(word, word)
            if known in given or known not in (*order, "dtype", "name"):
                raise Unsupported(f"{name} with {word}")
            given[known] = value
        if order[0] not in given:
            raise Unsupported(f"{name} without {order[0]}")
        return make(drawing, given)

    return call


CONSTANT_MAKERS = {
    f"{module}.{name}": _maker(name, parameters, make)
    for name, (parameters, make) in _MAKERS.items()
    for module in ("tensorflow", "keras.backend", "numpy")
    if (module, name) not in {("numpy", "ones"), ("numpy", "zeros"), ("numpy", "cast")}
}
"""By full name: functions of a drawing, values by position and values by name."""
