"""A live Keras 3 model as a table: every variable that Keras would save, and the layers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasguard.integrations.keras_graph import records_of
from kerasguard.integrations.keras_shortcuts import Variable, sharing_scope
from kerasguard.integrations.keras_slots import slots_of
from kerasguard.integrations.keras_walk import Visit, walk
from kerasguard.tensors import Role, Table, TensorRecord, TensorSpec

__all__ = ["Place", "architecture", "model_table", "places", "unwritten"]


@dataclass(frozen=True, slots=True)
class Place:
    """One tensor's place in the model.

    Args:
        record: what the expected table says of it.
        visit: the object that stores it.
        store_key: the name under which that object stores it.
        variable: the Keras variable; None where the object stores an array made on the spot.
        value: what the object stores, a variable or an array.
    """

    record: TensorRecord
    visit: Visit
    store_key: str
    variable: Any
    value: Any


def model_table(model: Any, *, optimizer: bool = True) -> Table:
    """The expected table of a model: its keys are those of the file that Keras would write.

    Args:
        model: a Keras 3 model (or layer); built, else it has no variables yet.
        optimizer: whether the optimizer's variables belong to it.
    """
    visits = list(walk(model))
    found = places(visits)
    records = [p.record for p in found if optimizer or p.record.role != "optimizer"]
    return Table.of(records, layers=records_of(visits))


def places(visits: Sequence[Visit]) -> list[Place]:
    """Every tensor that the visited objects would store, in Keras' order."""
    found: list[Place] = []
    weight_keys: dict[int, tuple[str, str]] = {}
    optimizers: list[tuple[int, Visit, dict[str, Any]]] = []
    for visit in visits:
        values = visit.stored() or {}
        if isinstance(visit.object, keras.optimizers.Optimizer):
            optimizers.append((len(found), visit, values))
        for store_key, value in values.items():
            place = _weight(visit, store_key, value)
            found.append(place)
            if place.variable is not None:
                weight_keys.setdefault(id(value), (place.record.key, place.record.name))
    for start, visit, values in optimizers:
        found[start : start + len(values)] = _optimizer_places(visit, values, weight_keys)
    return found


def _weight(visit: Visit, store_key: str, value: Any) -> Place:
    is_variable = isinstance(value, Variable)
    leaf = value.name if is_variable else store_key
    record = TensorRecord(
        visit.key(store_key),
        spec_of_value(value),
        name="/".join((*visit.names, leaf)),
        variable=leaf if is_variable else "",
        layer=visit.path,
        trainable=bool(value.trainable) if is_variable else None,
    )
    return Place(record, visit, store_key, value if is_variable else None, value)


def _optimizer_places(
    visit: Visit, values: Mapping[str, Any], weights: Mapping[int, tuple[str, str]]
) -> Iterator[Place]:
    slots = slots_of(visit.object)
    inner = getattr(visit.object, "inner_optimizer", None)
    inner_variables = {id(v) for v in inner.variables} if inner is not None else set()
    for store_key, value in values.items():
        slot, of = slots.get(id(value), ("", None))
        slot = slot or getattr(value, "name", store_key)
        weight_key, weight_name = weights.get(id(of), ("", getattr(of, "path", "")))
        # A wrapped optimizer's variables are stored twice: they are named for what they are.
        within = "inner_optimizer" if id(value) in inner_variables else ""
        name = "/".join(filter(None, (visit.path, within, slot, weight_name)))
        record = TensorRecord(
            visit.key(store_key),
            spec_of_value(value),
            name=name,
            variable=slot,
            layer=visit.path,
            role="optimizer",
            trainable=False,
            slot=slot,
            slot_of=weight_key,
        )
        variable = value if isinstance(value, Variable) else None
        yield Place(record, visit, store_key, variable, value)


def spec_of_value(value: Any) -> TensorSpec:
    """Spec of a variable, a tensor or an array, as it would lie in the file."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        array = np.asarray(value)
        shape, dtype = array.shape, array.dtype
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", str(dtype))
    return TensorSpec(tuple(int(size) for size in shape), name)


def unwritten(model: Any) -> tuple[TensorRecord, ...]:
    """Variables that the model has and that Keras' saving does not write.

    Seeds of random layers, states of stateful RNNs, metrics, and weights of layers that lie
    where Keras does not look (a set, an attribute called `_layers`). Their keys are
    `<owner's path>/unwritten/<variable's name>`.
    """
    visits = list(walk(model))
    reached = {id(p.value) for p in places(visits)}
    lost = _unreached(model, visits, reached)
    owners = _owners(visits) if lost else {}
    records: dict[str, TensorRecord] = {}
    for variable, role in lost:
        owner = owners.get(id(variable), visits[0])
        leaf = str(variable.name)
        stem = f"{owner.path}/unwritten/{leaf}" if owner.path else f"unwritten/{leaf}"
        key = next(k for k in _numbered(stem) if k not in records)
        records[key] = TensorRecord(
            key,
            spec_of_value(variable),
            name="/".join((*owner.names, leaf)),
            variable=leaf,
            layer=owner.path,
            role=role,
            trainable=bool(variable.trainable),
        )
    return tuple(records.values())


def _unreached(model: Any, visits: Sequence[Visit], reached: set[int]) -> list[tuple[Any, Role]]:
    metrics = {id(v) for v in getattr(model, "metrics_variables", ())}
    states = [s for visit in visits for s in _states(visit.object)]
    state_ids = {id(state) for state in states}
    found: dict[int, tuple[Any, Role]] = {}
    candidates = (*model.variables, *getattr(model, "metrics_variables", ()), *states)
    for variable in candidates:
        if id(variable) not in reached:
            role: Role = "weight"
            if id(variable) in metrics:
                role = "metric"
            elif id(variable) in state_ids:
                role = "state"
            elif variable.name == "seed_generator_state":
                role = "seed"
            found[id(variable)] = (variable, role)
    return list(found.values())


def _states(layer: Any) -> list[Any]:
    """The states that a stateful RNN keeps between batches."""
    if not isinstance(layer, keras.layers.RNN) or not layer.stateful:
        return []
    return [s for s in keras.tree.flatten(layer.states) if isinstance(s, Variable)]


def _owners(visits: Iterable[Visit]) -> dict[int, Visit]:
    """By variable, the innermost visited layer that has it."""
    owners = {}
    for visit in visits:
        if isinstance(visit.object, keras.Layer):
            for variable in (*visit.object.variables, *_states(visit.object)):
                owners[id(variable)] = visit
    return owners


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    count = 1
    while True:
        yield f"{stem}_{count}"
        count += 1


def architecture(model: Any) -> dict[str, Any] | None:
    """The model's config as a `.keras` file would hold it; None where it has no usable one.

    Keras numbers shared objects by where they lie in memory; here they are counted, so that
    equal models have equal architectures.
    """
    try:
        with sharing_scope():
            serialised = keras.saving.serialize_keras_object(model)
        text = json.dumps(serialised)
    except (NotImplementedError, TypeError):
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
