"""What functions ask about the shapes of tensors, answered from the file where it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.lambdas.arithmetic import sequence
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.values import Dtype, Method, Several, Size, Tensor

__all__ = ["ASKED", "attribute", "method", "target"]


def _shape(tensor: Any) -> tuple[int | None, ...]:
    if not isinstance(tensor, Tensor):
        raise Unsupported("the shape of something that is not a tensor")
    if tensor.shape is None:
        raise Unsupported("the shape of a tensor, which the file does not say,")
    return tensor.shape


def _measured(tensor: Any, *_: Any) -> list[Any]:
    """`tf.shape(x)`: numbers where the file has them, else the size itself."""
    sizes = _shape(tensor)
    return [Size(tensor, n) if size is None else size for n, size in enumerate(sizes)]


def _rank(tensor: Any) -> int:
    return len(_shape(tensor))


ASKED: dict[str, Callable[..., Any]] = {
    "keras.backend.int_shape": _shape,
    "keras.backend.ndim": _rank,
    "keras.backend.shape": _measured,
    "keras.ops.ndim": _rank,
    "keras.ops.shape": _shape,
    "tensorflow.rank": _rank,
    "tensorflow.shape": _measured,
}
"""Functions that ask about a tensor, by their full names."""


def attribute(owner: Any, name: str, drawing: Drawing) -> Any:
    """An attribute of a tensor, a shape, a constant array or several tensors.

    Raises:
        Unsupported: it is not read.
    """
    if isinstance(owner, Several) and name in owner.names:
        return owner.tensors[owner.names.index(name)]
    if (type(owner), name) == (int, "value"):
        return owner  # of a Dimension of TensorFlow 1
    for kind, methods, values in _ATTRIBUTES:
        if isinstance(owner, kind) and name in methods:
            return Method(owner, name)
        if isinstance(owner, kind) and name in values:
            return values[name](owner, drawing)
    raise Unsupported(f"the attribute .{name}")


# By kind of owner: its methods, and what its other attributes are.
_ATTRIBUTES: tuple[
    tuple[type, tuple[str, ...], Mapping[str, Callable[[Any, Drawing], Any]]], ...
] = (
    (
        Tensor,
        ("get_shape",),
        {
            "shape": lambda owner, _: _shape(owner),
            "ndim": lambda owner, _: _rank(owner),
            "dtype": lambda owner, drawing: Dtype(drawing.dtype_of(owner)),
        },
    ),
    (
        tuple,
        ("as_list",),
        {
            "dims": lambda owner, _: list(owner),
            "ndims": lambda owner, _: len(owner),
            "rank": lambda owner, _: len(owner),
        },
    ),
    (
        np.ndarray,
        ("astype", "flatten", "reshape", "tolist", "transpose"),
        {
            "T": lambda owner, _: owner.T,
            "ndim": lambda owner, _: owner.ndim,
            "shape": lambda owner, _: owner.shape,
            "size": lambda owner, _: owner.size,
        },
    ),
)


def method(called: Method, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """What `get_shape()`, `as_list()` and methods of constant arrays give."""
    if isinstance(called.owner, np.ndarray):
        return _of_array(called, arguments, named)
    if arguments or named:
        raise Unsupported(f".{called.name} with arguments")
    if called.name == "get_shape":
        return _shape(called.owner)
    return list(called.owner)


def _of_array(called: Method, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    array = called.owner
    if called.name == "reshape" and not named:
        sizes = sequence(arguments[0]) if len(arguments) == 1 else None
        return array.reshape(list(arguments) if sizes is None else sizes)
    given = [*arguments, *named.values()]
    if called.name == "astype" and len(given) == 1 and isinstance(given[0], str):
        return array.astype(given[0])
    if called.name in ("flatten", "tolist", "transpose") and not given:
        return getattr(array, called.name)()
    raise Unsupported(f".{called.name} with arguments")


def target(sizes: Any, tensor: Tensor) -> list[Any]:
    """The shape that a tensor is given, for the table: the batch is marked, one size is left open.

    Raises:
        Unsupported: more than one size besides the batch is not in the file.
    """
    listed = sequence(sizes)
    if listed is None:
        raise Unsupported("a shape that is not a list")
    if not all(isinstance(size, Size) or type(size) is int for size in listed):
        raise Unsupported("a shape with something other than numbers")
    found = [-1 if isinstance(size, Size) else size for size in listed]
    first = listed[0] if listed else None
    if found.count(-1) > 1 and isinstance(first, Size) and first.is_batch_of(tensor):
        found[0] = {"class_name": "__batch_size__"}
    if found.count(-1) > 1:
        raise Unsupported("a shape of which more than one size is not in the file")
    return found
