"""Models whose class overrides `compile`: Keras calls no `compile` when it loads one.

The config that Keras writes holds what the override passed on to `keras.Model.compile`, so that
part can be compiled as it was. What only the override takes, or makes, is not in any file.
"""

from __future__ import annotations

import inspect
from typing import Any

from kerasguard.models.kerases import KERAS3

__all__ = ["has_own_compile", "own_arguments"]


def has_own_compile(model: Any) -> bool:
    """Whether its class overrides `compile`, and nothing says how it is called for a config."""
    cls, base = type(model), KERAS3.MODEL
    if not isinstance(model, base):
        return False  # a layer or a FeatureSpace, which are saved alone and never compiled
    return bool(
        cls.compile is not base.compile and cls.compile_from_config is base.compile_from_config
    )


def own_arguments(model: Any) -> list[str]:
    """Names of the arguments that the override takes and `keras.Model.compile` does not."""
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ours = inspect.signature(type(model).compile).parameters.values()
    base = inspect.signature(KERAS3.MODEL.compile).parameters
    return [one.name for one in ours if one.kind in plain and one.name not in base]
