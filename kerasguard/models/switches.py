"""Which layers and variables are trained: as it was when the model was saved.

A layer that was frozen after its model was made is trained again once a user-defined model is built
from its config: that calls the constructor, and says nothing of the layers inside.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from kerasguard.models.kerases import is_layer, is_variable
from kerasguard.models.walk import Visit, walk
from kerasguard.tensors import Table

__all__ = ["set_as_recorded"]


def set_as_recorded(model: Any, recorded: Table) -> None:
    """Freeze and unfreeze what a model that was just built has.

    What was frozen is recorded by layer and by variable; manifests of 0.1.0 tell it by variable
    alone. A layer that has no variables and was not recorded as frozen is left as it is.

    Args:
        model: of Keras 3; its constructor may have frozen parts of it.
        recorded: the manifest's table, by the paths of Keras' walk.
    """
    told = {
        key: record.trainable
        for key, record in recorded.tensors.items()
        if record.role == "weight" and record.trainable is not None
    }
    trained = {
        path
        for key, trains in told.items()
        if trains
        for path in accumulate(key.split("/"), "{}/{}".format)
    }
    for visit in walk(model):  # outer layers first: their switch turns those of all inside
        if not is_layer(visit.object):
            continue
        variables = _variables(visit, told)
        wanted = _wanted(visit, recorded, trained, [told[k] for k, v in variables if v.trainable])
        if wanted is not None and bool(visit.object.trainable) is not wanted:
            visit.object.trainable = wanted
        for key, variable in variables:
            if bool(variable.trainable) is not told[key]:
                variable.trainable = told[key]


def _variables(visit: Visit, told: dict[str, bool]) -> list[tuple[str, Any]]:
    stored = visit.stored() or {}
    keyed = [(visit.key(name), value) for name, value in stored.items()]
    return [(key, v) for key, v in keyed if key in told and is_variable(v, visit.object)]


def _wanted(visit: Visit, recorded: Table, trained: set[str], own: list[bool]) -> bool | None:
    """Whether a layer was trained; None where nothing says so."""
    record = recorded.layers.get(visit.path)
    if record is not None and record.trainable is False:
        return False
    if visit.path in trained or (not visit.path and trained):
        return True
    return False if own and not any(own) else None
