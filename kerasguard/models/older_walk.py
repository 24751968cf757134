"""Keys that a model's weights had under the walks of earlier versions of Keras.

All of them address a variable by the attributes that lead to it and follow each object once, but
not in the same order: what is reached in two ways, as an attribute of a model and in the list of
all its layers, has the key of the way that came first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kerasguard.models.kerases import Habits
from kerasguard.models.live_model import Place, places
from kerasguard.models.walk import walk

__all__ = ["habits_of", "older_keys"]

_BEFORE_3_14 = Habits(nested=False)
# By the minor version of Keras 2: attributes by name, and items met before still counted, or not.
_KERAS_2 = {
    12: Habits(nested=False, order="rising"),
    13: Habits(nested=False, order="rising"),
    14: Habits(nested=False, order="rising", recounts=False),
    15: Habits(nested=False, order="falling", recounts=False),
}


def habits_of(version: str) -> Sequence[Habits]:
    """How the version of Keras walks, or how any of the older ones may have; the newest first.

    Args:
        version: `2.15.0`; empty where unknown.
    """
    parts = [int(part) for part in re.findall(r"\d+", version)[:2]]
    if parts[:1] == [2]:
        known = _KERAS_2.get(min(parts[1], 15) if len(parts) > 1 else 0)  # tf_keras goes on
        return (known,) if known else ()
    return (_BEFORE_3_14,) if parts else (_BEFORE_3_14, *reversed(_KERAS_2.values()))


def older_keys(
    model: Any, found: Mapping[str, Place], habits: Habits, paths: Sequence[str]
) -> dict[str, str]:
    """The keys of a model's weights by the stored paths, where these are what the walk gives.

    Args:
        model: of Keras 3.
        found: its tensors by key.
        habits: of the writer's walk.
        paths: stored; Keras 2 had `_query_dense` for what is `query_dense` as well today.
    """
    keys = {id(place.value): key for key, place in found.items()}
    older = places(list(walk(model, habits)))
    weights = (p for p in older if p.record.role == "weight" and p.variable is not None)
    ours = {_public(p.record.key): keys[id(p.value)] for p in weights if id(p.value) in keys}
    theirs = {_public(path): path for path in paths}
    return {theirs[key]: ours[key] for key in ours.keys() & theirs.keys()}


def _public(key: str) -> str:
    return "/".join(part.lstrip("_") for part in key.split("/"))
