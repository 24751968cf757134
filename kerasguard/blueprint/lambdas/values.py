"""What an expression is worth while it is evaluated.

Numbers, strings, tuples, lists and NumPy arrays are themselves. The rest is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.objects import Json
from kerasguard.bytecode.expressions import Function

__all__ = [
    "Dtype",
    "Inner",
    "Method",
    "Named",
    "Open",
    "Several",
    "Size",
    "Tensor",
    "tensors_among",
    "told",
]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of the graph.

    Args:
        made: the `__keras_tensor__` that names the layer it comes from.
        shape: None if it cannot be told; None inside where a size is open.
        kind: `float`, `int` or `bool`; empty where it cannot be told.
        alone: whether it is the layer's only input, of which the file does not say whether the
            layer was called on a tensor or on a list of one.
    """

    made: Json
    shape: tuple[int | None, ...] | None
    kind: str = ""
    alone: bool = False


class Dtype(str):
    """A dtype of TensorFlow or NumPy; NumPy's are functions, too."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Named:
    """A module, a function or a dtype, by its full name."""

    path: str


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a tensor, a shape or a list."""

    owner: Any
    name: str


@dataclass(frozen=True, slots=True)
class Size:
    """A size of a tensor that is open in the file, or that many times something.

    Args:
        tensor: whose size it is.
        axis: along which; the batch is 0.
        times: what it is multiplied by.
    """

    tensor: Tensor
    axis: int
    times: int = 1

    def is_batch_of(self, tensor: Tensor) -> bool:
        """Whether this is the number of rows of a tensor, which keeps them."""
        return self.axis == 0 and self.times == 1 and self.tensor.made == tensor.made


@dataclass(frozen=True, slots=True)
class Several:
    """Tensors with names, as `tf.nn.top_k` gives them."""

    names: tuple[str, ...]
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """A list of the file's JSON, which may have been a tuple."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Inner:
    """A function inside the function, with what its variables hold."""

    function: Function
    held: Mapping[str, Any]
    defaults: Mapping[str, Any]


def tensors_among(value: Any) -> Iterator[Tensor]:
    """The tensors in a value, also in lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_among(item)
    elif isinstance(value, Open):
        yield from tensors_among(value.items)
    elif isinstance(value, Several):
        yield from value.tensors


def told(value: Any) -> Any:
    """A value as JSON for a call: tensors are references, arrays and tuples are lists.

    Raises:
        Unsupported: it is none that a call can hold.
    """
    if isinstance(value, Tensor):
        return value.made
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [told(item) for item in value]
    if isinstance(value, Open):
        return [told(item) for item in value.items]
    if isinstance(value, Several):
        return [told(item) for item in value.tensors]
    if isinstance(value, Named):
        raise Unsupported(f"{value.path} is not a value")
    if isinstance(value, Size):
        where = "the batch" if value.axis == 0 else f"axis {value.axis}"
        raise Unsupported(f"the size of {where} is not in the file")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise Unsupported(f"a value of type {type(value).__name__} is not an argument")
