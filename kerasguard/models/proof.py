"""After an assignment: are the bytes under each variable those that it was given?

Nothing is taken on trust, neither an assignment without a copy nor one on several replicas: the
variable is read again. Where it lies over the array's own memory, that is all there is to compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasguard.errors import RestoreError
from kerasguard.models import live_model
from kerasguard.models.journal import UNCHANGED
from kerasguard.models.kerases.backends import (
    boxes,
    components,
    inner,
    is_read_together,
    is_spread,
    on_tensorflow,
    resource_of,
    synchronization,
    to_numpy,
)
from kerasguard.models.kerases.homes import replicas_apart
from kerasguard.models.live_model import Place
from kerasguard.models.variables import held, held_together, same_on_replicas
from kerasguard.models.walk import Visit, walk
from kerasguard.tensors.elements import Array, dtype_name

if TYPE_CHECKING:
    from kerasguard.models.hidden import Hidden

__all__ = ["local_bytes", "proven", "replica_differences", "same_bytes"]

_CHUNK = 1 << 22


def proven(
    values: Mapping[str, Array], places: Mapping[str, Place], hidden: Mapping[str, Hidden]
) -> frozenset[str]:
    """Compare what was assigned with what the model holds now.

    Args:
        values: what was assigned, by key.
        places: of the tensors that the model stores, by key.
        hidden: of those that Keras does not write, by key.

    Returns:
        The keys whose bytes are the given ones. A layer that loads itself may make something else
        of what it is given.

    Raises:
        RestoreError: a variable that nothing but an assignment has touched holds something else.
    """
    same: set[str] = set()
    wrong: list[str] = []
    stored: dict[str, Mapping[str, Any]] = {}
    # What is in neither is of a layer that does not know its own tensors: nothing to compare with.
    placed = {key: _now(places[key], stored) for key in values if key in places}
    arrays = dict(zip(placed, held_together(list(placed.values())), strict=True))
    for key, array in values.items():
        if key in hidden:
            equal = _put_back(hidden[key], array)
        elif (found := arrays.get(key)) is not None:
            equal = _equal(found, array)
        elif key in placed:
            equal = same_bytes(placed[key], array)
        else:
            continue
        if equal:
            same.add(key)
        elif key in hidden or _only_assigned(places[key], values, places):
            wrong.append(key)
    if wrong:
        label = (places.get(wrong[0]) or hidden[wrong[0]]).record.label
        raise RestoreError(
            f"{label}: holds different bytes than were assigned to it ({len(wrong)} variables do); "
            f"{UNCHANGED}"
        )
    return frozenset(same)


def _only_assigned(place: Place, values: Mapping[str, Array], places: Mapping[str, Place]) -> bool:
    """Whether nothing but the assignment of one of these values has touched the variable."""
    variable = place.variable
    if variable is None or not place.visit.plain or _summed(variable):
        return False
    return sum(places[key].variable is variable for key in values if key in places) == 1


def replica_differences(model: Any) -> dict[str, float | str]:
    """By name, the tensors whose replicas do not hold the same bytes, and how far they are apart.

    The largest difference of two elements, or `"nan"`.

    Variables that each replica keeps for itself by design (`synchronization="on_read"`) are
    left out. Empty without a strategy.
    """
    found = live_model.places(list(walk(model)))
    apart = {
        place.record.label: replicas_apart(place.variable)
        for place in found
        if place.variable is not None and not same_on_replicas(place.variable)
    }
    return {name: far if math.isfinite(far) else str(far) for name, far in apart.items()}


def local_bytes(model: Any) -> Iterator[tuple[str, str, bytes]]:
    """What this process holds of each variable that all replicas keep in step.

    Yields:
        The label, which elements of it, and their bytes.
    """
    for place in live_model.places(list(walk(model))):
        if place.variable is not None and not _summed(place.variable):
            for box, array in boxes(place.variable):
                yield place.record.label, str(box), array.tobytes()


def _now(place: Place, stored: dict[str, Mapping[str, Any]]) -> Any:
    """The variable, or what its layer would store now in its own form."""
    if place.variable is not None:
        return place.variable
    visit: Visit = place.visit
    if visit.path not in stored:
        stored[visit.path] = visit.stored() or {}
    return stored[visit.path].get(place.store_key)


def _put_back(held: Hidden, array: Array) -> bool:
    return same_bytes(held.holder if held.is_variable else held.read(), array)


def same_bytes(value: Any, array: Array) -> bool:
    """Whether a variable (on every replica), a tensor or an array has exactly these bytes."""
    if value is None:
        return False
    if resource_of(value) is not None:
        return _equal(held(value), array)
    if is_spread(value):
        return tuple(value.shape) == array.shape and all(
            _equal(found, np.ascontiguousarray(array[box]).reshape(found.shape))
            for box, found in boxes(value)
        )
    if is_read_together(value):
        share = _share(value, array)
        return share is not None and all(_equal(to_numpy(p), share) for p in components(value))
    if on_tensorflow() and not _summed(value):
        return all(_equal(held(part), array) for part in components(value))
    return _equal(to_numpy(value), array)


def _summed(value: Any) -> bool:
    """Whether each replica has its own part, summed up or averaged when it is read."""
    return synchronization(value) == "on_read"


def _share(variable: Any, array: Array) -> Array | None:
    """What every replica has of a value that several workers would have to read together.

    Asked of this worker's replicas alone: another one may have failed. None where the parts do
    not make up the value.
    """
    if "SUM" not in str(getattr(variable, "aggregation", "")).upper():
        return array
    count = inner(variable).distribute_strategy.num_replicas_in_sync
    share = np.asarray(array / count, array.dtype)
    return share if np.array_equal(share * count, array) else None


def _equal(found: Array, array: Array) -> bool:
    if found.shape != array.shape or dtype_name(found.dtype) != dtype_name(array.dtype):
        return False
    if found.ctypes.data == array.ctypes.data and found.strides == array.strides:
        return True
    ours, theirs = _bytes(found), _bytes(array)
    return all(
        np.array_equal(ours[at : at + _CHUNK], theirs[at : at + _CHUNK])
        for at in range(0, ours.size, _CHUNK)
    )


def _bytes(array: Array) -> Array:
    flat: Array = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return flat
