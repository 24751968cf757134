"""Variables by the attributes that lead to them, which is how TensorFlow addresses an object's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kerasguard.models.live_model import Place

__all__ = ["attribute_keys"]

# How Keras 2 numbers the layers of a Sequential or functional model.
_NUMBERED = re.compile(r"layer_with_weights-([0-9]{1,9})")


def attribute_keys(model: Any, places: Mapping[str, Place], paths: Iterable[str]) -> dict[str, str]:
    """The model's keys by paths of attributes, list positions and dict keys.

    Only values that an object holds itself are followed; no property is asked, since the paths
    come out of a file.

    Args:
        model: where the paths start.
        places: of the model's variables, by key.
        paths: `blocks/0/kernel`; those that lead to no variable of the model are left out.
    """
    keys = {id(place.variable): key for key, place in places.items() if place.variable is not None}
    found = {path: id(_follow(model, path.split("/"))) for path in paths}
    return {path: keys[there] for path, there in found.items() if there in keys}


def _follow(start: Any, edges: Iterable[str]) -> Any:
    """What the edges lead to; None where one leads nowhere."""
    here = start
    for edge in edges:
        numbered = _NUMBERED.fullmatch(edge)
        if isinstance(here, Mapping):
            here = here.get(edge)
        elif isinstance(here, (list, tuple)):
            here = _at(here, edge) if edge.isdecimal() else None
        elif numbered:
            layers = [layer for layer in getattr(here, "layers", ()) if layer.weights]
            here = _at(layers, numbered[1])
        else:
            held = getattr(here, "__dict__", {})
            here = held.get(edge, held.get(f"_{edge}"))
    return here


def _at(items: Sequence[Any], position: str) -> Any:
    return items[int(position)] if int(position) < len(items) else None
