"""Classes that one backend has of its own in the place of Keras': named as Keras offers them."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["of_every_backend"]

_OPTIMIZERS = re.compile(r"keras\.src\.backend\.torch\.optimizers\.torch_\w+")
_OFFERED = "keras.optimizers"


def of_every_backend(config: Any) -> Any:
    """Rename, in place, what a config names of a single backend; returns the config.

    Under PyTorch `keras.optimizers.Adam(...)` is an object of a class of that backend, and Keras
    writes the module of that class.
    """
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += [item for item in value if isinstance(item, (dict, list))]
        elif isinstance(value, dict):
            module = value.get("module")
            if isinstance(module, str) and _OPTIMIZERS.fullmatch(module):
                value["module"] = _OFFERED
                if value.get("registered_name") == value.get("class_name"):
                    value["registered_name"] = None
            stack += [item for item in value.values() if isinstance(item, (dict, list))]
    return config
