"""Items and slices of what a Lambda computes with."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.computations import plan
from kerasguard.blueprint.lambdas.arithmetic import sequence
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.values import (
    Open,
    Several,
    Tensor,
)

__all__ = ["item_of"]


def item_of(owner: Any, key: Any, drawing: Drawing) -> Any:
    """`owner[key]`, of a tensor, or of a list whose items are known.

    Raises:
        Unsupported: the file does not say what is meant.
    """
    if isinstance(owner, Tensor):
        return _of_tensor(owner, key, drawing)
    if isinstance(owner, np.ndarray):
        return _of_array(owner, key)
    if isinstance(owner, Several):
        owner = owner.tensors
    items = sequence(owner)
    if isinstance(owner, Open) and isinstance(key, slice):
        raise Unsupported("a part of something that may be a tuple or a list")
    if items is None or not (type(key) is int or isinstance(key, slice)):
        raise Unsupported("an index of something that is neither a tensor nor a list")
    try:
        found = items[key]
    except IndexError:
        raise Unsupported(f"item {key} of {len(items)}") from None
    return tuple(found) if isinstance(owner, tuple) and isinstance(key, slice) else found


def _of_tensor(owner: Tensor, key: Any, drawing: Drawing) -> Any:
    if owner.alone and _is_of_one(key):
        raise Unsupported(
            f"item {key} of the only input, and the file does not say whether it was a list of "
            "one tensor"
        )
    spec = [_index(part) for part in (key if isinstance(key, tuple) else (key,))]
    if all(part is None or isinstance(part, int) for part in spec):
        spec.append({"class_name": "__ellipsis__"})
    taken = plan("__operators__.getitem", owner.made, {"slice_spec": spec}, drawing.rank_of)
    return drawing.draw(taken, owner.kind)


def _of_array(owner: np.ndarray[Any, Any], key: Any) -> Any:
    parts = key if isinstance(key, tuple) else (key,)
    if not all(x is None or x is Ellipsis or type(x) in (int, slice) for x in parts):
        raise Unsupported("an index of a constant array that is neither a number nor a slice")
    found = owner[key]
    return found.item() if np.ndim(found) == 0 else found


def _is_of_one(key: Any) -> bool:
    """Whether this index means something for a list with one item, too."""
    return key in (0, -1) if type(key) is int else isinstance(key, slice) and bool([0][key])


def _index(part: Any) -> Any:
    """One part of an index as the table of TensorFlow's functions has it."""
    if part is Ellipsis:
        return {"class_name": "__ellipsis__"}
    if isinstance(part, slice):
        return {"start": part.start, "stop": part.stop, "step": part.step}
    if part is None or type(part) is int:
        return part
    raise Unsupported("an index that is not in the file, or picks elements by a list")
