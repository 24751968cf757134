"""Layers, optimizers and variables inside objects that Keras does not look into."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from kerasguard.models.kerases import is_layer, is_optimizer, is_variable, of, stock_modules
from kerasguard.models.kerases.backends import is_tensorflow_variable

__all__ = ["untracked"]

_DEPTH = 4
_LISTS = (list, tuple, deque)
_ELSEWHERE = (*stock_modules, "tensorflow.", "numpy.", "builtins", "torch.", "jax.", "threading")


def untracked(
    layer: Any, known: Callable[[int], bool], without: Collection[str] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What a layer of somebody's own holds in something that is not Keras'.

    That is layers, optimizers and variables.

    Followed are the attributes of plain Python objects, lists, tuples, deques, dicts and arrays
    of objects, four levels deep; no set, whose order says nothing, and nothing of a library.

    Args:
        layer: whose attributes are searched.
        known: whether the layer, optimizer or variable with this id is known already.
        without: names of attributes that are not searched.

    Yields:
        The names on the way (`helper`, `head`, `0`) and what lies there.
    """
    seen: set[int] = {id(layer)}
    for name, value in list(vars(layer).items()):
        if not name.startswith("__") and name not in of(layer).INTERNAL and name not in without:
            yield from _look(value, (name,), known, seen)


def _look(
    value: Any, names: tuple[str, ...], known: Callable[[int], bool], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, (str, int, float, type, type(None))) or id(value) in seen:
        return
    seen.add(id(value))
    if is_layer(value) or is_optimizer(value) or _is_variable(value):
        if not known(id(value)):
            yield names, value
        return
    if len(names) < _DEPTH:
        for name, item in _inside(value):
            yield from _look(item, (*names, name), known, seen)


def _is_variable(value: Any) -> bool:
    return is_variable(value, value) or is_tensorflow_variable(value)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in list(value.items()))
    elif isinstance(value, _LISTS):
        yield from ((str(index), item) for index, item in enumerate(value))
    elif isinstance(value, np.ndarray):
        if value.dtype == object:
            yield from ((str(index), item) for index, item in enumerate(value.ravel()))
    elif not f"{type(value).__module__}.".startswith(_ELSEWHERE) and hasattr(value, "__dict__"):
        yield from list(vars(value).items())
