"""What differs between two checkpoints: their tensors and their layers, by whatever names agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["Change", "compare"]

Kind = Literal["values", "form", "renamed", "first only", "second only", "layer"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Args:
        kind: `values` (other bytes), `form` (other shape or dtype), `renamed` (a counterpart
            of another name), `first only`, `second only`, `layer` (another class or config).
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

    A tensor's counterpart has its key; else its name, if that is the only one of that name; else
    its bytes, if they are the only such.

    Args:
        first: with digests, or only shapes and dtypes are compared.
        second: likewise.
    """
    left, right = dict(first.tensors), dict(second.tensors)
    changes: list[Change] = []
    for identity in (_key, _name, _bytes):
        for one, other in _pairs(left, right, identity):
            del left[one.key], right[other.key]
            changes += _changes(one, other)
    changes += [Change("first only", r.label, f"{r.spec}") for r in left.values()]
    changes += [Change("second only", r.label, f"{r.spec}") for r in right.values()]
    return (*changes, *_layer_changes(first.layers, second.layers))


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
    left: Mapping[str, T], right: Mapping[str, T], identity: Callable[[T], Hashable]
) -> list[tuple[T, T]]:
    """What has the same identity on both sides and is alone in having it."""
    here, there = _single(left, identity), _single(right, identity)
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
    """Layers of one key whose class or config differs, where both checkpoints tell it."""
    left, right = dict(first), dict(second)
    for identity in (lambda layer: layer.key, lambda layer: layer.name):
        for one, other in _pairs(left, right, identity):
            del left[one.key], right[other.key]
            if not (one.class_name and other.class_name):
                continue
            if one.class_name != other.class_name:
                what = f"{one.class_name} in the first, {other.class_name} in the second"
                yield Change("layer", one.name, what)
            elif "" != one.config_digest != other.config_digest != "":
                yield Change("layer", one.name, "configured differently")
