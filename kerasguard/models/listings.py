"""The weights that each layer of a live model lists, in its order, as legacy files have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasguard.models.kerases import is_layer
from kerasguard.models.live_model import Place
from kerasguard.models.walk import Visit

__all__ = ["listings"]


def listings(visits: Sequence[Visit], found: Sequence[Place]) -> dict[str, tuple[str, ...]]:
    """By the key of a layer, the keys of its weights and of those of all layers that it holds.

    A legacy file has a group per layer, with everything that the layer lists: a weight that two
    layers share lies in both groups, and here under both keys.

    Args:
        visits: of a walk.
        found: its tensors.
    """
    keys: dict[int, str] = {}
    for place in found:
        if place.variable is not None and place.record.role == "weight":
            keys.setdefault(id(place.value), place.record.key)
    return {
        visit.path: tuple(keys[id(w)] for w in _weights(visit.object) if id(w) in keys)
        for visit in visits
        if visit.path and is_layer(visit.object)
    }


def _weights(layer: Any) -> Sequence[Any]:
    return list({id(w): w for w in layer.weights}.values())
