"""A model's tensors as its file has them, where those are parts of larger ones.

A partitioner of parameter servers cuts a variable into parts along its first axis, and tf_keras
writes each part of a weight under a number of its own. In the model, and in every other table, the
variable is one tensor; optimizers' files have theirs as one, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kerasguard.models import variable_paths
from kerasguard.models.kerases.backends import parts, to_numpy
from kerasguard.models.live_model import LiveModel, Place, spec_of_value
from kerasguard.tensors import Shard, Table, TensorRecord
from kerasguard.tensors.elements import digest

__all__ = ["as_in_file", "as_named"]


def as_in_file(live: LiveModel, stored: Table) -> LiveModel:
    """The live model with the parts that a file has in the place of whole tensors.

    Args:
        live: the model's survey.
        stored: the file's table; where it holds the tensors whole, as TensorFlow's checkpoints do,
            nothing is changed.
    """
    if not any(_is_cut(place) for place in live.places):
        return live
    places = list(_expanded(live.places))
    if not all(_fits(place, stored) for place in places if place.record.shard):
        return live
    keys = {old: new.record.key for old, new in _firsts(live.places, places)}
    places = [replace(p, record=_renamed(p, keys)) for p in places]
    table = replace(live.table, tensors={p.record.key: p.record for p in places})
    return replace(live, places=places, table=table)


def _is_cut(place: Place) -> bool:
    return place.record.role == "weight" and len(parts(place.variable)) > 1


def _expanded(places: Sequence[Place]) -> Iterator[Place]:
    """In order, with the parts' numbers; those of a layer's later variables move up."""
    shifts: dict[str, int] = {}
    for place in places:
        path, cut = place.visit.path, _is_cut(place)
        shift = shifts.get(path, 0)
        if not shift and not cut:
            yield place
            continue
        first = int(place.store_key) + shift
        if not cut:
            yield _at(place, str(first))
            continue
        pieces = parts(place.variable)
        whole = digest(to_numpy(place.variable))
        for index, piece in enumerate(pieces):
            shard = Shard(index, len(pieces), whole)
            record = replace(place.record, spec=spec_of_value(piece), shard=shard)
            moved = replace(place, record=record, variable=piece, value=piece)
            yield _at(moved, str(first + index))
        shifts[path] = shift + len(pieces) - 1


def _at(place: Place, store_key: str) -> Place:
    record = replace(place.record, key=place.visit.key(store_key))
    return replace(place, record=record, store_key=store_key)


def _fits(place: Place, stored: Table) -> bool:
    found = stored.tensors.get(place.record.key)
    return found is not None and found.spec == place.record.spec


def _firsts(whole: Sequence[Place], places: Sequence[Place]) -> Iterator[tuple[str, Place]]:
    """By the key of a whole tensor, the place of its first part."""
    cut = (p for p in places if p.record.shard is None or p.record.shard.index == 0)
    for before, now in zip(whole, cut, strict=True):
        yield before.record.key, now


def _renamed(place: Place, keys: Mapping[str, str]) -> TensorRecord:
    """Slots name the weight that they belong to by its key."""
    named = keys.get(place.record.slot_of, place.record.slot_of)
    return replace(place.record, slot_of=named)


def as_named(live: LiveModel, stored: Table, keys: str) -> Table:
    """A checkpoint's table with what only the model that it was saved from knows of the names.

    Args:
        live: the model's survey.
        stored: of the checkpoint.
        keys: as in `Traits.keys`.
    """
    if keys == "paths":
        return variable_paths.walked(stored, live)
    return _renamed_objects(live, stored) if keys == "objects" else stored


def _renamed_objects(live: LiveModel, stored: Table) -> Table:
    """A TensorFlow checkpoint's table with the names that its writer lost of what was in parts.

    There all of them are called `ShardedVariable`, so that no slot tells its weight.
    """
    if not any(_is_nameless(record) for record in stored.tensors.values()):
        return stored
    own = {id(p.value): p.record for p in live.places if p.record.role == "weight"}
    weights = {key: own.get(id(_held(live.model, key))) for key in stored.tensors}
    keys = {record.key: key for key, record in weights.items() if record is not None}
    slots = {
        f"optimizer/_variables/{p.store_key}": p.record
        for p in live.places
        if p.visit.path == "optimizer" and p.record.slot_of
    }
    tensors = dict(stored.tensors)
    for key, record in stored.tensors.items():
        found = weights[key] or slots.get(key)
        if _is_nameless(record) and found is not None and found.spec == record.spec:
            tensors[key] = replace(
                record,
                name=found.name,
                variable=found.variable,
                slot=found.slot,
                slot_of=keys.get(found.slot_of, ""),
            )
    return replace(stored, tensors=tensors)


def _is_nameless(record: TensorRecord) -> bool:
    return record.name.rpartition("/")[2] == "ShardedVariable"


def _held(model: Any, key: str) -> Any:
    """What lies under `layer_with_weights-2/kernel`; None under any other key."""
    match = re.fullmatch(r"layer_with_weights-(\d+)/(\w+)", key)
    layers = [layer for layer in getattr(model, "layers", ()) if layer.weights]
    if match is None or int(match[1]) >= len(layers):
        return None
    return getattr(layers[int(match[1])], match[2], None)
