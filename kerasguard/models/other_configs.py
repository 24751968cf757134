"""Stored configs of layers against those of a tf_keras model, entry by entry.

For a model of Keras 3 the stored config is migrated, the layer made of it, and the two digests
compared. No layer of tf_keras is ever made of what a file says; instead the entries are compared
that both configs have, since versions differ in which options there are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from kerasguard.blueprint.architecture import config_digest, counts
from kerasguard.models.bare_config import bare_config
from kerasguard.models.kerases import is_model, of
from kerasguard.models.live_graph import layer_digest

__all__ = ["digest_like"]

_VERSION = re.compile(r"V[12]$")  # TensorFlow's names of a class while it had two
_CLOSE = 1e-6  # of numbers that one version rounded to float32


def digest_like(layer: Any, class_name: str, config: Mapping[str, Any]) -> str:
    """A digest for a stored config, which is the layer's own where they say the same.

    Args:
        layer: of the caller's model.
        class_name: stored.
        config: stored.
    """
    ours = layer_digest(layer, {})
    if not ours or is_model(layer):
        return ours  # nothing to compare with, or its layers are compared by themselves
    rank = getattr(getattr(layer, "input_spec", None), "ndim", None)
    told, stored = (_from_the_back(one, rank) for one in (_told(layer), config))
    same = _VERSION.sub("", class_name) == type(layer).__name__ and _agree(told, stored)
    return ours if same else config_digest(class_name, config)


def _told(layer: Any) -> Mapping[str, Any]:
    try:
        return {key: _plain(layer, value) for key, value in bare_config(layer).items()}
    except Exception:  # noqa: BLE001  # get_config of somebody's own may raise anything
        return {}


def _from_the_back(config: Mapping[str, Any], rank: int | None) -> Mapping[str, Any]:
    """With its axis counted from the last one, which a built layer counts from the first."""
    axis = _one(config.get("axis"))
    if type(axis) is not int or axis < 0 or rank is None:
        return config
    return {**config, "axis": axis - rank}


def _plain(layer: Any, value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float, list, tuple, dict)):
        return value
    return of(layer).serialize(value)


def _agree(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        shared = [key for key in ours.keys() & theirs.keys() if counts(str(key))]
        shared = [key for key in shared if key not in ("module", "registered_name")]
        return all(_agree(ours[key], theirs[key]) for key in shared)
    ours, theirs = _one(ours), _one(theirs)
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(_agree, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return math.isclose(ours, theirs, rel_tol=_CLOSE)
    return bool(ours == theirs)


def _one(value: Any) -> Any:
    """An axis, whether it stands in a list or by itself."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
