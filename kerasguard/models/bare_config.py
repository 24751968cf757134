"""The part of a layer's config that a config digest looks at, without the work for the rest.

Half of what a layer's `get_config` takes goes into the configs of initialisers and of the dtype
policy, which no digest looks at. For the thread inside, and for Keras' own layers only, they are
left out; where something of them is left in what a digest looks at, Keras does all.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kerasguard.blueprint.architecture import counts
from kerasguard.models.kerases import KERAS3, is_foreign, of
from kerasguard.models.kerases.keras3_saving import default_quantisation
from kerasguard.models.patches import Patch, PatchSet

__all__ = ["bare_config", "many_configs"]

_QUANTISATION = "quantization_config"
_OMITTED = "left out by kerasguard"


class _Active(threading.local):
    on = False


_active = _Active()


@contextmanager
def many_configs() -> Iterator[bool]:
    """Inside, what `bare_config` puts in the place of Keras' own stays there from call to call.

    Yields:
        Whether all of it is in place.
    """
    installed = [patches.install() for patches in _PATCHES]
    try:
        yield all(installed)
    finally:
        for patches in _PATCHES:
            patches.remove()


def bare_config(operation: Any) -> dict[str, Any]:
    """The entries of `get_config` that count.

    Raises:
        NotImplementedError: the operation has no config.
    """
    if not is_foreign(operation) and of(operation) is KERAS3:
        told = _spelt_out(operation, _counted(_briefly(operation)))
        if not _holds(told):
            return told
        return _spelt_out(operation, _counted(operation.get_config()))
    return _counted(operation.get_config())


def _counted(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if counts(str(key))}


def _spelt_out(operation: Any, config: dict[str, Any]) -> dict[str, Any]:
    """With the quantisation that a layer does by default where it was quantised by its policy.

    `quantize` writes it into the config; a layer that is built quantised, out of the config of a
    model around it, has none and does the same.
    """
    if config.get(_QUANTISATION, "") is None:
        return {**config, _QUANTISATION: default_quantisation(operation)}
    return config


def _briefly(operation: Any) -> Any:
    with many_configs() as _active.on:
        try:
            return operation.get_config()
        finally:
            _active.on = False


def _holds(value: Any) -> bool:
    """Whether something was left out of what a digest looks at."""
    if isinstance(value, dict):
        return any(_holds(item) for key, item in value.items() if counts(str(key)))
    if isinstance(value, (list, tuple)):
        return any(map(_holds, value))
    return isinstance(value, str) and value == _OMITTED


def _omitting(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def serialize(item: Any) -> Any:
        return _OMITTED if _active.on else original(item)

    return serialize


_PATCHES = [
    PatchSet([Patch(module, "serialize", _omitting)])
    for module in map(sys.modules.get, ("keras.src.initializers", "keras.src.dtype_policies"))
    if module is not None and "serialize" in vars(module)
]
