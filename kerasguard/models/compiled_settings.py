"""Settings of losses and metrics that Keras writes into no config.

`Huber(delta=0.3)` and `CosineSimilarity(axis=1)` get Keras 3.15's defaults back: a model that is
built from its file trains by another loss.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping
from typing import Any

from kerasguard.models.kerases import of

__all__ = ["give_back", "lost"]

_PLACES = {
    "loss": ("_compile_loss", "_user_loss"),
    "metrics": ("_compile_metrics", "_user_metrics"),
    "weighted_metrics": ("_compile_metrics", "_user_weighted_metrics"),
}
_ARGUMENTS = "_fn_kwargs"
_PLAIN: tuple[type, ...] = (bool, numbers.Real, str)


def lost(model: Any) -> dict[str, dict[str, Any]]:
    """By the place in the compile arguments, what an object's config does not tell of it."""
    found = {}
    for place, item in _compiled(model):
        given = getattr(item, _ARGUMENTS)
        try:
            again = getattr(type(item).from_config(item.get_config()), _ARGUMENTS)
            left = {k: v for k, v in given.items() if isinstance(v, _PLAIN) and again.get(k) != v}
        except Exception:  # noqa: BLE001, S112  # a class of somebody's own may raise anything
            continue
        if left:
            found[place] = left
    return found


def give_back(model: Any, recorded: Mapping[str, Any]) -> None:
    """Give the losses and metrics of a model that was just compiled the settings that they had.

    Args:
        model: of Keras 3.
        recorded: of `lost`; what names no setting of such an object is left out.
    """
    for place, item in _compiled(model) if recorded else ():
        told, given = recorded.get(place), getattr(item, _ARGUMENTS)
        for name, value in told.items() if isinstance(told, Mapping) else ():
            if _kind(value) is not None and _kind(value) is _kind(given.get(name)):
                given[name] = value


def _kind(value: Any) -> type | None:
    """What a setting is: a switch, a number or a word; None of anything else."""
    return next((kind for kind in _PLAIN if isinstance(value, kind)), None)


def _compiled(model: Any) -> Iterator[tuple[str, Any]]:
    """The objects among the compile arguments that wrap a function, by their places."""
    for name, (holder, attribute) in _PLACES.items():
        structure = getattr(getattr(model, holder, None), attribute, None)
        for index, item in enumerate(() if structure is None else of(model).flatten(structure)):
            if isinstance(getattr(item, _ARGUMENTS, None), dict):
                yield f"{name}/{index}", item
