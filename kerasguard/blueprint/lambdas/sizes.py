"""What functions ask about the shapes of tensors, answered from the file where it tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.lambdas.arithmetic import sequence
from kerasguard.blueprint.lambdas.values import Method, Named, Several, Size, Tensor

__all__ = ["ASKED", "attribute", "method", "target"]


def _shape(tensor: Any) -> tuple[int | None, ...]:
    if not isinstance(tensor, Tensor):
        raise Unsupported("the shape of what is no tensor")
    if tensor.shape is None:
        raise Unsupported("the shape of a tensor, which the file does not tell,")
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


def attribute(owner: Any, name: str) -> Any:
    """An attribute of a tensor, a shape or several tensors.

    Raises:
        Unsupported: it is not read.
    """
    if isinstance(owner, Tensor):
        if name == "shape":
            return _shape(owner)
        if name == "ndim":
            return _rank(owner)
        if name == "dtype" and owner.kind:
            return Named(f"dtype of a {owner.kind} tensor")
        if name == "get_shape":
            return Method(owner, name)
    if isinstance(owner, tuple) and name in ("as_list", "dims"):
        return Method(owner, name) if name == "as_list" else list(owner)
    if isinstance(owner, tuple) and name in ("ndims", "rank"):
        return len(owner)
    if isinstance(owner, int) and name == "value":
        return owner  # of a Dimension of TensorFlow 1
    if isinstance(owner, Several) and name in owner.names:
        return owner.tensors[owner.names.index(name)]
    raise Unsupported(f"the attribute .{name}")


def method(called: Method, arguments: tuple[Any, ...]) -> Any:
    """What `get_shape()` and `as_list()` give."""
    if arguments:
        raise Unsupported(f".{called.name} with arguments")
    if called.name == "get_shape":
        return _shape(called.owner)
    return list(called.owner)


def target(sizes: Any, tensor: Tensor) -> list[Any]:
    """The shape that a tensor is given, for the table: the batch is marked, one size is left open.

    Raises:
        Unsupported: more than one size besides the batch is not in the file.
    """
    listed = sequence(sizes)
    if listed is None:
        raise Unsupported("a shape that is no list")
    found: list[Any] = []
    for place, size in enumerate(listed):
        if isinstance(size, Size):
            same = size.axis == 0 and place == 0
            found.append({"class_name": "__batch_size__"} if same else -1)
        elif type(size) is int:
            found.append(size)
        else:
            raise Unsupported("a shape with something else than numbers")
    if sum(1 for size in found if size == -1) > 1:
        raise Unsupported("a shape of which more than one size is not in the file")
    return found
