"""A live model as a table: every variable that Keras would save, and the layers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasguard.models.holders import held_at
from kerasguard.models.kerases import KERAS3, dtype_name, is_layer, is_optimizer, is_variable, of
from kerasguard.models.kerases.backends import parts, to_numpy
from kerasguard.models.live_calls import ends_of
from kerasguard.models.live_graph import records_of
from kerasguard.models.live_use import use_of_model, variable_places
from kerasguard.models.slots import Slot, slots_of
from kerasguard.models.walk import Visit, habits_for, walk
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec
from kerasguard.tensors.elements import digest

__all__ = [
    "LiveModel",
    "Place",
    "architecture",
    "facts_of",
    "model_table",
    "places",
    "spec_of_value",
]


@dataclass(frozen=True, slots=True)
class Place:
    """One tensor's place in the model.

    Args:
        record: what the expected table says of it.
        visit: the object that stores it.
        store_key: the name under which that object stores it.
        variable: the Keras variable; None where the object stores an array made on the spot.
        value: what the object stores, a variable or an array.
        listed: whether a legacy file has it as one of its layer's variables, and today's files
            have something else that the layer makes of them.
    """

    record: TensorRecord
    visit: Visit
    store_key: str
    variable: Any
    value: Any
    listed: bool = False


@dataclass(frozen=True)
class LiveModel:
    """A model as it is now: what Keras' saving would visit and store.

    Args:
        model: of Keras.
        visits: in Keras' order, the model itself first.
        places: of all tensors.
        table: the same as a table.
    """

    model: Any
    visits: Sequence[Visit]
    places: Sequence[Place]
    table: Table

    @staticmethod
    def of(model: Any, keys: str = "walk") -> LiveModel:
        """Walk over a model, for a format with such keys; reads no tensor."""
        visits = tuple(walk(model, habits_for(model, keys)))
        found = tuple(places(visits))
        facts = facts_of(model, visits)
        facts["layers"] |= {
            visit.path: LayerRecord(visit.path, _name(visit.object), type(visit.object).__name__)
            for visit in visits
            if visit.path and is_optimizer(visit.object)
        }
        table = Table.of((p.record for p in found), **facts)
        return LiveModel(model, visits, found, table)

    def strangers(self, digests: Collection[str]) -> list[str]:
        """Labels of the weights whose digest is none of these."""
        return [
            place.record.label
            for place in self.places
            if place.variable is not None
            and place.record.role == "weight"
            and digest(to_numpy(place.variable)) not in digests
        ]


def facts_of(model: Any, visits: Sequence[Visit]) -> dict[str, Any]:
    """What a table says of a model besides its tensors: `layers`, `ends` and `use`."""
    return {"layers": records_of(visits), "ends": ends_of(visits), "use": use_of_model(model)}


def model_table(model: Any, *, optimizer: bool = True) -> Table:
    """The expected table of a model: its keys are those of the file that Keras would write.

    Args:
        model: a Keras model (or layer); built, else it has no variables yet.
        optimizer: whether the optimizer's variables belong to it.
    """
    found = LiveModel.of(model).table
    if optimizer:
        return found
    weights = (r for r in found.tensors.values() if r.role != "optimizer")
    return Table.of(weights, layers={k: v for k, v in found.layers.items() if k != "optimizer"})


def _name(optimizer: Any) -> str:
    return str(getattr(optimizer, "name", ""))  # one that scales losses has none in tf_keras


def places(visits: Sequence[Visit], *, listed: bool = False) -> list[Place]:
    """Every tensor that the visited objects would store, in Keras' order.

    Args:
        visits: of a walk.
        listed: whether in a legacy file, which has the variables of a layer that makes arrays of
            them on the spot for today's files, as `save_own_variables` may.
    """
    found: list[Place] = []
    weights: dict[int, tuple[str, str]] = {}
    optimizers: list[tuple[int, Visit, dict[str, Any]]] = []
    for visit in visits:
        values = visit.stored() or {}
        if is_optimizer(visit.object):
            optimizers.append((len(found), visit, values))
        made = listed and _makes_arrays(visit, values)
        if made:
            own = of(visit.object).own_state(visit.object)[1]
            values = {of(variable).leaf(variable): variable for variable in own}
        attributes = variable_places(visit.object) if values and not made else {}
        for store_key, value in values.items():
            place = _weight_place(visit, store_key, value, attributes.get(id(value), ""))
            found.append(replace(place, listed=True) if made else place)
            if place.variable is not None:
                weights.setdefault(id(value), (place.record.key, place.record.name))
    among = [p.variable for p in found if p.variable is not None] if optimizers else []
    slots = [slots_of(visit.object, among) for _, visit, _ in optimizers]
    known = {id(s.weight) for some in slots for s in some.values() if s.weight is not None}
    weights |= held_at(known - weights.keys(), visits)
    for (start, visit, values), some in zip(optimizers, slots, strict=True):
        found[start : start + len(values)] = _optimizer_places(visit, values, some, weights)
    return found


def _makes_arrays(visit: Visit, values: Mapping[str, Any]) -> bool:
    """Whether it is a layer that does not store its variables as they are."""
    layer = visit.object
    return is_layer(layer) and not all(is_variable(v, layer) for v in values.values())


def _weight_place(visit: Visit, store_key: str, value: Any, attribute: str) -> Place:
    """The place of a weight; `attribute` holds the variable, or is empty where none does."""
    keras = of(visit.object)
    known = is_variable(value, visit.object)
    leaf = keras.leaf(value) if known else store_key
    record = TensorRecord(
        visit.key(store_key),
        spec_of_value(value),
        name="/".join((*visit.names, leaf)),
        variable=leaf if known else "",
        layer=visit.path,
        role="metric" if _is_compiled(visit) else "weight",
        trainable=bool(parts(value)[0].trainable) if known else None,
        attribute=attribute,
    )
    return Place(record, visit, store_key, value if known else None, value)


def _is_compiled(visit: Visit) -> bool:
    """Whether it is a metric that a model was compiled with, which tf_keras stores with it.

    A model has none before its first batch, and does without.
    """
    return visit.path.startswith("metrics/") and of(visit.object) is not KERAS3


def _optimizer_places(
    visit: Visit,
    values: Mapping[str, Any],
    slots: Mapping[int, Slot],
    weights: Mapping[int, tuple[str, str]],
) -> Iterator[Place]:
    for store_key, value in values.items():
        slot = slots.get(id(value)) or Slot(getattr(value, "name", store_key))
        told = "" if slot.weight is None else of(visit.object).path(slot.weight)
        key, named = weights.get(id(slot.weight), ("", told))
        # What a wrapped optimizer has is stored with the wrapper's, too.
        own = "/".join(filter(None, (slot.within, slot.name)))
        record = TensorRecord(
            visit.key(store_key),
            spec_of_value(value),
            name="/".join(filter(None, (visit.path, own, named))),
            variable=slot.name,
            layer=visit.path,
            role="optimizer",
            trainable=False,
            slot=own,
            slot_of=key,
        )
        variable = value if is_variable(value, visit.object) else None
        yield Place(record, visit, store_key, variable, value)


def spec_of_value(value: Any) -> TensorSpec:
    """Spec of a variable, a tensor or an array, as it would lie in the file."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        array = np.asarray(value)
        shape, dtype = array.shape, array.dtype
    if None in tuple(shape):  # of any length, which a variable of TensorFlow may have
        shape = to_numpy(value).shape
    return TensorSpec(tuple(int(size) for size in shape), dtype_name(dtype))


def architecture(model: Any) -> dict[str, Any] | None:
    """The model's config as a `.keras` file would hold it; None where it has no usable one.

    Keras numbers shared objects by where they lie in memory; here they are counted, so that
    equal models have equal architectures.
    """
    try:
        with of(model).sharing_scope():
            serialised = of(model).serialize(model)
        text = json.dumps(serialised)
    except Exception:  # noqa: BLE001  # get_config of somebody's own may raise anything
        return None
    found: dict[str, Any] = json.loads(text)
    _count_shared(found, {})
    return found


def _count_shared(value: Any, numbers: dict[int, int]) -> None:
    if isinstance(value, dict):
        if "shared_object_id" in value:
            number = numbers.setdefault(value["shared_object_id"], len(numbers) + 1)
            value["shared_object_id"] = number
        for item in value.values():
            _count_shared(item, numbers)
    elif isinstance(value, list):
        for item in value:
            _count_shared(item, numbers)
