"""Configs that Keras wrote for a class and that the class itself does not take.

Keras puts `trainable` and `dtype` into the config of every layer and model; a class whose
`__init__` has neither, nor `**kwargs`, cannot be made from its own config. Where the value is
what the object has anyway, leaving it out changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

__all__ = ["without_untaken_defaults"]


def without_untaken_defaults(
    architecture: Mapping[str, Any], custom_objects: Mapping[str, Any]
) -> Any:
    """`architecture` without the `trainable` and `dtype` that custom classes do not take.

    Only values that the object has without being told are left out: `trainable` if True, `dtype`
    if it is the policy in force.
    """
    classes = {name.rpartition(">")[2]: o for name, o in custom_objects.items()}
    for name, item in keras.saving.get_custom_objects().items():
        classes.setdefault(name.rpartition(">")[2], item)
    return _rewritten(architecture, classes)


def _rewritten(value: Any, classes: Mapping[str, Any]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_rewritten(item, classes) for item in value]
    if not isinstance(value, Mapping):
        return value
    result = {key: _rewritten(item, classes) for key, item in value.items()}
    cls = classes.get(result.get("class_name", ""))
    config = result.get("config")
    if inspect.isclass(cls) and isinstance(config, dict):
        result["config"] = {k: v for k, v in config.items() if not _untaken(cls, k, v)}
    return result


def _untaken(cls: type, name: str, value: Any) -> bool:
    redundant = (name == "trainable" and value is True) or (
        name == "dtype" and _policy_name(value) == keras.config.dtype_policy().name
    )
    if not redundant or "from_config" in vars(cls):
        return False
    parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return not takes_all and name not in {p.name for p in parameters}


def _policy_name(value: Any) -> Any:
    if isinstance(value, Mapping):
        config = value.get("config")
        return config.get("name") if isinstance(config, Mapping) else None
    return value
