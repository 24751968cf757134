"""One layer in several models of one model: it is recorded where it comes first, and only there.

A live model tells it, since there is one object. A config spells the layer out in each place, and
what is built from a config without marks of shared objects has a layer of its own in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kerasguard.tensors.layers import Ends, LayerRecord, Node

__all__ = ["ends_without_copies", "first_places", "is_inside", "layers_without_copies"]

Places = Mapping[str, str]
"""By the key of a place, the key of the place that has the same layer first."""


def first_places(layers: Mapping[str, LayerRecord], places: Places) -> dict[str, str]:
    """Those places in which there are two layers of one class and one config."""
    found = {}
    for place, first in places.items():
        one, other = layers.get(first), layers.get(place)
        if one is None or other is None or one.class_name != other.class_name:
            continue
        if one.config_digest == other.config_digest:
            found[place] = first
    return found


def layers_without_copies(
    layers: Mapping[str, LayerRecord], places: Places
) -> dict[str, LayerRecord]:
    """The layers without those in the places, and what is in them; what they feed, others do.

    The calls of such a layer are told as they are of a live one: those in the model around that
    comes first.
    """
    if not places:
        return dict(layers)
    rank = {key: n for n, key in enumerate(layers)}
    called: dict[str, str] = {}
    for place, first in places.items():
        if not is_inside(_around(place), places):
            options = (called.get(first, first), place)
            called[first] = min(options, key=lambda key: rank.get(_around(key), -1))
    found = {}
    for key, record in layers.items():
        if not is_inside(key, places):
            told = layers[called.get(key, key)]
            calls = told.inbound and tuple(_moved(call, places) for call in told.inbound)
            found[key] = replace(record, inbound=calls, position=told.position)
    return found


def ends_without_copies(ends: Mapping[str, Ends], places: Places) -> dict[str, Ends]:
    """The inputs and outputs of the models that are left, named by the places that are left."""
    return {
        key: (_moved(first, places), _moved(last, places))
        for key, (first, last) in ends.items()
        if not is_inside(key, places)
    }


def is_inside(key: str, places: Places) -> bool:
    """Whether a layer is in one of the places, or deeper in what is there."""
    parts = key.split("/")
    return any("/".join(parts[:n]) in places for n in range(2, len(parts) + 1))


def _around(key: str) -> str:
    """The model that a layer is in: of `layers/functional/layers/dense`, `layers/functional`."""
    return "/".join(key.split("/")[:-2])


def _moved(tensors: Node, places: Places) -> Node:
    return tuple((places.get(key, key), i, j) for key, i, j in tensors)
