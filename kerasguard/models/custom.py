"""Configs that Keras wrote for a class and that the class itself does not take.

Keras puts `trainable` and `dtype` into the config of every layer and model; a class whose
`__init__` has neither, nor `**kwargs`, cannot be made from its own config. Where the value is
what the object has anyway, leaving it out changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasguard.models.kerases import keras3

__all__ = ["build_by_weights", "without_untaken_defaults"]


def without_untaken_defaults(
    architecture: Mapping[str, Any], custom_objects: Mapping[str, Any]
) -> Any:
    """`architecture` without the `trainable` and `dtype` that custom classes do not take.

    Only values that the object has without being told are left out: `trainable` if True, `dtype`
    if it is the policy in force.
    """
    classes = {name.rpartition(">")[2]: o for name, o in custom_objects.items()}
    for name, item in keras3.custom_objects().items():
        classes.setdefault(name.rpartition(">")[2], item)
    return _rewritten(architecture, classes) if classes else architecture


def build_by_weights(model: Any, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Build a model that was saved without its input shape, by the shapes of its weights.

    The first kernels tell how many features the input has. The model is called once on zeros of
    such a shape; whether that made the right weights is seen in their shapes.

    Returns:
        Whether the model now has weights of exactly these shapes.
    """
    wanted = sorted(shapes)
    for kernel in [shape for shape in shapes if len(shape) > 1][:3]:
        space = {2: (), 3: (16,), 4: (32, 32), 5: (16, 16, 16)}.get(len(kernel))
        if space is None:
            continue
        try:
            model(np.zeros((1, *space, kernel[-2]), "float32"))
        except (NotImplementedError, TypeError, ValueError):  # what Keras raises for what misfits
            continue
        if sorted(tuple(w.shape) for w in model.weights) == wanted:
            return True
    return False


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
        name == "dtype" and _policy_name(value) == keras3.dtype_policy()
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
