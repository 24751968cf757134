"""What is given to a call or to a constructor, as a text that is equal where the values are.

Tensors are `~`, arrays their digest (small ones their elements), functions their names: what a
function of a user-defined model does is nothing that a text could tell.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xxhash

from kerasguard.models.kerases import dtype_name, is_layer, is_symbolic, present
from kerasguard.models.kerases.backends import to_numpy
from kerasguard.tensors.elements import digest

__all__ = ["UnknownValueError", "call_text", "text_of"]

_TENSOR = "~"
_SHORT = 160  # characters; longer texts are digested
_FEW = 16  # elements


class UnknownValueError(Exception):
    """A value of a kind that has no text: nothing is known of it, not even whether it changed."""


def call_text(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """What a layer or operation was called with; empty for one tensor and nothing else.

    What is None or False is left out of keywords: versions of Keras differ in whether they note
    what nobody gave (`training=False`, masks of None).
    """
    given = {k: v for k, v in kwargs.items() if not _is_off(v)}
    placed = list(args)
    while placed and placed[-1] is None:
        placed.pop()
    try:
        told = [_plain(placed), _plain(given)]
    except UnknownValueError:
        return "?"
    if told == [[_TENSOR], {}]:
        return ""
    return _short(told if given else told[0])


def _is_off(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(item is None for item in value)
    return value is None or value is False


def text_of(value: Any) -> str:
    """The text of one value.

    Raises:
        UnknownValueError: there is none.
    """
    return _short(_plain(value))


def _short(told: Any) -> str:
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text if len(text) <= _SHORT else f"xxh3:{xxhash.xxh3_128_hexdigest(text.encode())}"


def _plain(value: Any) -> Any:
    """`value` as JSON."""
    if is_symbolic(value):
        return _TENSOR
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [_plain(item) for item in items]
    if isinstance(value, slice):
        return ":".join("" if n is None else str(_plain(n)) for n in _bounds(value))
    if value is Ellipsis:
        return "..."
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    if isinstance(value, functools.partial):
        return {"partial": [_plain(value.func), _plain(value.args), _plain(value.keywords)]}
    return _object(value)


def _bounds(value: slice) -> tuple[Any, ...]:
    ends = (value.start, value.stop)
    return ends if value.step is None else (*ends, value.step)


def _number(value: float) -> Any:
    if not math.isfinite(value):
        return repr(value)
    return int(value) if value.is_integer() else value


def _object(value: Any) -> Any:
    """Arrays, tensors, variables, functions, and objects that tell their config."""
    if any(isinstance(value, keras.VARIABLE) for keras in present()):
        return {"variable": [dtype_name(value.dtype), list(value.shape)]}
    if isinstance(value, (np.ndarray, np.generic)) or any(k.is_tensor(value) for k in present()):
        return _array(to_numpy(value))
    if inspect.isroutine(value) or isinstance(value, (type, np.ufunc)):
        return {"function": str(getattr(value, "__name__", type(value).__name__))}
    if callable(getattr(value, "get_config", None)) and not is_layer(value):
        try:
            return {type(value).__name__: _plain(_unnamed(value.get_config()))}
        except Exception as error:  # code of a user-defined model may raise anything
            raise UnknownValueError from error
    named = getattr(value, "name", None)  # a dtype, a member of an enumeration
    if isinstance(named, str) and not is_layer(value):
        return named
    if (callable(value) or dataclasses.is_dataclass(value)) and not is_layer(value):
        try:
            return {type(value).__name__: _plain(_own(value))}
        except (RecursionError, TypeError, ValueError) as error:  # it holds itself, tells nothing
            raise UnknownValueError from error
    raise UnknownValueError


def _own(value: Any) -> dict[str, Any]:
    """What an object that stands for a function, or for settings, was given and keeps by name."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return {name: getattr(value, name, None) for name in names}
    kept = getattr(value, "__dict__", {})
    spelt = {n: n if n in kept else f"_{n}" for n in inspect.signature(type(value)).parameters}
    return {name: kept[own] for name, own in spelt.items() if own in kept}


def _unnamed(config: Any) -> Any:
    return {k: v for k, v in config.items() if k != "name"}


def _array(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.kind in "fiub" and array.ndim == 0:
        return _plain(array.item())
    told = [array.dtype.name, list(array.shape)]
    if array.dtype.kind == "O":
        return [*told, [str(item) for item in array.reshape(-1)]]
    if array.size <= _FEW and array.dtype.kind in "fiub":
        return [*told, _plain(array.reshape(-1).tolist())]
    return [*told, digest(np.ascontiguousarray(array))]
