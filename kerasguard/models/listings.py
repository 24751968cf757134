"""The weights that each layer of a live model lists, in its order, as legacy files have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasguard.models.kerases import is_layer, of
from kerasguard.models.live_model import Place, weight_place
from kerasguard.models.walk import Visit

__all__ = ["as_stored", "listings"]


def as_stored(
    visits: Sequence[Visit], found: Sequence[Place], *, listed: bool
) -> tuple[Sequence[Place], set[str]]:
    """The tensors as a checkpoint has them, and the layers that have other ones there.

    Legacy files have variables; today's have what a layer with a `save_own_variables` of its own
    stores instead, which may be arrays that it makes on the spot.

    Args:
        visits: of a walk.
        found: its tensors, as today's files have them.
        listed: whether the checkpoint is a legacy file.
    """
    made = {p.visit.path for p in found if p.variable is None and p.record.role == "weight"}
    if not made or not listed:
        return found, set()
    kept = [p for p in found if p.visit.path not in made or p.record.role != "weight"]
    for visit in visits:
        if visit.path in made and is_layer(visit.object):
            kept += [
                weight_place(visit, of(v).leaf(v), v, "")
                for v in of(visit.object).own_state(visit.object)[1]
            ]
    return kept, made


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
