"""What differs between two checkpoints: their tensors and their layers, by whatever names agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from kerasguard.identity.evidence import given_names
from kerasguard.identity.units import Unit, units
from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["Change", "compare", "counterparts"]

Kind = Literal["values", "form", "renamed", "moved", "first only", "second only", "layer"]
T = TypeVar("T")
Pair = tuple[TensorRecord, TensorRecord]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Args:
        kind: `values` (other bytes), `form` (other shape or dtype), `renamed` (a counterpart
            of another name), `moved` (a layer of one name under another key), `first only`,
            `second only`, `layer` (another class or config).
        name: of the tensor or layer in the first checkpoint, else in the second.
        what: the difference in words.
        first: key of the tensor in the first checkpoint; empty where it has none.
        second: likewise.
        distance: norm of the difference as a part of the norm in the first, where it was measured.
        largest: the greatest difference of an element, where it was measured.
    """

    kind: Kind
    name: str
    what: str
    first: str = ""
    second: str = ""
    distance: float | None = None
    largest: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def compare(first: Table, second: Table) -> tuple[Change, ...]:
    """All differences, tensors first.

    Args:
        first: with digests, or only shapes and dtypes are compared.
        second: likewise.
    """
    pairs = counterparts(first, second)
    left, right = dict(first.tensors), dict(second.tensors)
    changes: list[Change] = []
    for one, other in pairs:
        del left[one.key], right[other.key]
        changes += _changes(one, other)
    changes += [Change("first only", r.label, f"{r.spec}") for r in left.values()]
    changes += [Change("second only", r.label, f"{r.spec}") for r in right.values()]
    return (*changes, *_moved(first, second), *_layer_changes(first.layers, second.layers))


def counterparts(first: Table, second: Table) -> list[Pair]:
    """Which tensor of the second each one of the first is; what has none is left out.

    A layer's counterpart has the user-given name. A tensor's lies in that layer; else
    has its key; else its name, if that is the only one of that name; else its bytes, if they are
    the only such. A slot of an optimizer goes with its weight.
    """
    ours, theirs = units(first), units(second)
    found: list[Pair] = []
    for e, s in given_names(ours, theirs).items():
        found += _within(ours[e], theirs[s])
    found += _identified(first, second, found, (_key, _name, _bytes), weights=True)
    keys = {one.key: other.key for one, other in found}
    slots = _pairs(
        _left(first, {one.key for one, _ in found}, weights=False),
        _left(second, {other.key for _, other in found}, weights=False),
        lambda r: (r.slot, keys.get(r.slot_of)) if r.slot and r.slot_of in keys else None,
        lambda r: (r.slot, r.slot_of) if r.slot and r.slot_of else None,
    )
    found += slots
    found += _identified(first, second, found, (_key, _name, _bytes), weights=False)
    order = {key: place for place, key in enumerate(first.tensors)}
    return sorted(found, key=lambda pair: order[pair[0].key])


def _within(unit: Unit, other: Unit) -> Iterator[Pair]:
    """The tensors of two layers that are the same one."""
    for relative, record in unit.members.items():
        if relative in other.members:
            yield record, other.members[relative]


def _identified(
    first: Table,
    second: Table,
    known: list[Pair],
    identities: tuple[Callable[[TensorRecord], Hashable], ...],
    *,
    weights: bool,
) -> list[Pair]:
    found: list[Pair] = []
    for identity in identities:
        pairs = [*known, *found]
        left = _left(first, {one.key for one, _ in pairs}, weights=weights)
        right = _left(second, {other.key for _, other in pairs}, weights=weights)
        found += _pairs(left, right, identity)
    return found


def _left(table: Table, known: Collection[str], *, weights: bool) -> dict[str, TensorRecord]:
    """The tensors of a table that have no counterpart yet."""
    return {
        key: record
        for key, record in table.tensors.items()
        if key not in known and (record.role == "weight") is weights
    }


def _moved(first: Table, second: Table) -> Iterator[Change]:
    """Layers of one class and given name under another key, where keys are of one kind."""
    ours, theirs = units(first), units(second)
    if not ours.keys() & theirs.keys():
        return  # of formats whose keys have nothing in common
    for e, s in given_names(ours, theirs).items():
        if e != s and ours[e].kind == theirs[s].kind:
            yield Change("moved", ours[e].name, f"{e} in the first, {s} in the second", e, s)


def _key(record: TensorRecord) -> Hashable:
    return record.key


def _name(record: TensorRecord) -> Hashable:
    """The name without what only old formats add to it: `head/head/kernel:0` is `head/kernel`."""
    parts = record.name.partition(":")[0].split("/")
    plain = [part for part, before in zip(parts, ["", *parts], strict=False) if part != before]
    return (record.role, *plain) if record.name else None


def _bytes(record: TensorRecord) -> Hashable:
    return (record.role, record.spec, record.digest) if record.digest else None


def _pairs(
    left: Mapping[str, T],
    right: Mapping[str, T],
    identity: Callable[[T], Hashable],
    theirs: Callable[[T], Hashable] | None = None,
) -> list[tuple[T, T]]:
    """What has the same identity on both sides and is alone in having it."""
    here, there = _single(left, identity), _single(right, theirs or identity)
    return [(item, there[known]) for known, item in here.items() if known in there]


def _single(items: Mapping[str, T], identity: Callable[[T], Hashable]) -> dict[Hashable, T]:
    counts = Counter(map(identity, items.values()))
    known = ((identity(item), item) for item in items.values())
    return {key: item for key, item in known if key is not None and counts[key] == 1}


def _changes(one: TensorRecord, other: TensorRecord) -> Iterator[Change]:
    if one.name and other.name and _name(one) != _name(other):
        yield Change("renamed", one.label, f"is {other.label} in the second")
    if one.spec != other.spec:
        yield Change("form", one.label, f"{one.spec} in the first, {other.spec} in the second")
    elif one.digest and other.digest and one.digest != other.digest:
        yield Change("values", one.label, "other values", one.key, other.key)


def _layer_changes(
    first: Mapping[str, LayerRecord], second: Mapping[str, LayerRecord]
) -> Iterator[Change]:
    """Layers whose class or config differs, where both checkpoints tell it."""
    left, right = dict(first), dict(second)
    for identity in (_given, lambda layer: layer.key, lambda layer: layer.name):
        for one, other in _pairs(left, right, identity):
            del left[one.key], right[other.key]
            if not (one.class_name and other.class_name):
                continue
            if one.class_name != other.class_name:
                what = f"{one.class_name} in the first, {other.class_name} in the second"
                yield Change("layer", one.name, what)
            elif "" != one.config_digest != other.config_digest != "":
                yield Change("layer", one.name, "configured differently")


def _given(layer: LayerRecord) -> Hashable:
    """The user-given name."""
    return None if layer.auto_named or not layer.name else layer.name
