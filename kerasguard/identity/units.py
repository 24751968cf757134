"""The unit of identity: a layer with its tensors, which travel together.

Also which tensor is which within one layer, once two layers are known to be the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kerasguard.identity.variable_names import same_variable
from kerasguard.tensors import Table, TensorRecord, auto_named, snake_case

__all__ = ["Unit", "alike", "fits", "members", "telling", "units"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A layer with weights, as far as identity is concerned.

    Args:
        key: of the layer in its table.
        name: that the layer carries; empty where unknown.
        kind: its class in snake case; empty where unknown.
        weak: whether the name is one that Keras makes up.
        members: the tensors, by their key relative to the layer.
    """

    key: str
    name: str
    kind: str
    weak: bool
    members: Mapping[str, TensorRecord]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the members, in order."""
        return tuple(record.spec.shape for record in self.members.values())

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of elements of the members, ascending."""
        return tuple(sorted(record.spec.size for record in self.members.values()))

    @property
    def label(self) -> str:
        """What messages call the layer."""
        return self.name or self.key


def units(table: Table) -> dict[str, Unit]:
    """The layers with weights of a table, in table order."""
    groups: dict[str, dict[str, TensorRecord]] = {}
    for record in table.tensors.values():
        if record.role != "weight":
            continue
        key = _unit_key(record)
        relative = record.key[len(key) :].lstrip("/") if record.key.startswith(key) else record.key
        groups.setdefault(key, {})[relative] = record
    result: dict[str, Unit] = {}
    for key, members in groups.items():
        layer = table.layers.get(key)
        kind = snake_case(layer.class_name) if layer and layer.class_name else _kind_of_key(key)
        name = layer.name if layer else ""
        weak = not name or auto_named(name, kind)
        result[key] = Unit(key, name, kind, weak, members)
    return result


def _unit_key(record: TensorRecord) -> str:
    """The layer whose tensors stay together: the innermost element of a model's `layers`."""
    key = record.key
    start = 7 if key.startswith("layers/") else 0
    found = key.rfind("/layers/")
    start = found + 8 if found >= 0 else start
    end = key.find("/", start) if start else -1
    return key[:end] if end > 0 else record.layer


def _kind_of_key(key: str) -> str:
    """`layers/dense_1` -> `dense`: Keras 3 numbers layers of a class within their container."""
    if "layers/" not in key:
        return ""
    last = key.rsplit("/", 1)[-1]
    stem, _, number = last.rpartition("_")
    return stem if stem and number.isdecimal() else last


def alike(a: Unit, b: Unit) -> bool:
    """Whether nothing known of the two says that they are different classes."""
    return not a.kind or not b.kind or a.kind == b.kind


def fits(a: Unit, b: Unit) -> bool:
    """Whether the members could be the same tensors: equal counts, equal numbers of elements."""
    if not alike(a, b):
        return False
    sizes = [Counter(r.spec.size for r in unit.members.values()) for unit in (a, b)]
    return sizes[0] == sizes[1] or bool(members(a, b))


def members(ours: Unit, theirs: Unit) -> dict[str, str]:
    """Pairs of tensor keys within one layer: by the variables' names, else by position."""
    mine, other = list(ours.members.values()), list(theirs.members.values())
    same = [(k, r.variable) for k, r in ours.members.items()]
    if same == [(k, r.variable) for k, r in theirs.members.items()]:
        return {x.key: y.key for x, y in zip(mine, other, strict=True)}
    a, b = _variables(_as_stored(ours.members, theirs.members)), _variables(theirs.members)
    if a and b:
        return _by_variable(ours, theirs, *_counted(a, b))
    if set(ours.members) == set(theirs.members):
        return {r.key: theirs.members[k].key for k, r in ours.members.items()}
    if len(mine) == len(other):
        return {x.key: y.key for x, y in zip(mine, other, strict=True)}
    return {}


def _as_stored(
    ours: Mapping[str, TensorRecord], theirs: Mapping[str, TensorRecord]
) -> Mapping[str, TensorRecord]:
    """Our members, called as they are stored where a layer says so and theirs say nothing else."""
    return {
        key: replace(record, variable=own)
        if key in theirs and (own := _stored_as(key)) and theirs[key].variable in ("", own)
        else record
        for key, record in ours.items()
    }


def _by_variable(
    ours: Unit, theirs: Unit, a: Mapping[str, TensorRecord], b: Mapping[str, TensorRecord]
) -> dict[str, str]:
    """Pairs of tensor keys by the names `a` and `b` of the two units' variables."""
    pairs = {x.key: b[v].key for v, x in a.items() if v in b}
    mine, other = _bare(ours.members), _bare(theirs.members)
    if not pairs and mine and set(mine) == set(other):
        return {x.key: other[v].key for v, x in mine.items()}
    left = {v: x for v, x in a.items() if v not in b}
    right = {v: y for v, y in b.items() if v not in a}
    pairs |= _respelt(left, right)
    return pairs | _held_twice(ours.kind, a, pairs)


def _bare(members: Mapping[str, TensorRecord]) -> dict[tuple[str, str], TensorRecord]:
    """Members by direction and variable's name, wherever in the layer; empty if that is not a name.

    TensorFlow 1 named the variables of a cell, or of a wrapped layer, after the outer layer alone.
    """
    found = {(_direction(key), r.variable): r for key, r in members.items() if r.variable}
    return found if len(found) == len(members) else {}


def _direction(key: str) -> str:
    """`forward` or `backward` for the two layers of a Bidirectional."""
    match = re.match(r"(forward|backward)_", key)
    return match[1] if match else ""


def _counted(
    a: Mapping[str, TensorRecord], b: Mapping[str, TensorRecord]
) -> tuple[dict[str, TensorRecord], dict[str, TensorRecord]]:
    """The variables of both, with a rank in place of what either calls an item of a list.

    TensorFlow's object graphs number the items of a list (`cells/0`), Keras 3 names them after
    their classes (`cells/lstm_cell`); both list them in order.
    """
    lists: dict[str, dict[str, int]] = {}
    theirs = {_ranked(key, lists, finding=True): record for key, record in b.items()}
    ranks: dict[str, dict[str, int]] = {where: {} for where in lists}
    return {_ranked(key, ranks, finding=False): record for key, record in a.items()}, theirs


def _ranked(key: str, lists: dict[str, dict[str, int]], *, finding: bool) -> str:
    """A key with ranks in it; adds to the lists met and to the items met in them.

    Args:
        key: of a variable, relative to its layer.
        lists: the items of each list by its place, with their ranks.
        finding: whether a number stands for an item of a list that is not known yet.
    """
    *scopes, last = key.split("/")
    found: list[str] = []
    for scope in scopes:
        where = "/".join(found)
        if finding and scope.isdecimal():
            lists.setdefault(where, {})
        if where in lists:
            items = lists[where]
            scope = str(items.setdefault(scope, len(items)))
        found.append(scope)
    return "/".join([*found, last])


def _respelt(left: Mapping[str, TensorRecord], right: Mapping[str, TensorRecord]) -> dict[str, str]:
    """Pairs of variables whose names differ: an older spelling, or names that say nothing."""
    pairs: dict[str, str] = {}
    for v, x in left.items():
        place = v.rpartition("/")[0]
        older = [
            y
            for w, y in right.items()
            if w.rpartition("/")[0] == place and same_variable(y.variable, x.variable)
        ]
        if len(older) == 1:
            pairs[x.key] = older[0].key
    named = [any(telling(r.variable) for r in side.values()) for side in (left, right)]
    lone = len(left) == 1 and not all(named)
    if not pairs and len(left) == len(right) and (lone or not any(named)):
        return {x.key: y.key for x, y in zip(left.values(), right.values(), strict=True)}
    return pairs


# Layers that hold what the layer inside them holds, and where that is.
_TWICE = {"spectral_normalization": "layer", "text_vectorization": "lookup_layer"}


def _held_twice(
    kind: str, ours: Mapping[str, TensorRecord], pairs: Mapping[str, str]
) -> dict[str, str]:
    """Variables that Keras 3 stores under two keys and TensorFlow's object graphs under one."""
    inside = _TWICE.get(kind)
    found: dict[str, str] = {}
    for name, record in ours.items():
        place, _, variable = name.rpartition("/")
        other = ours.get(f"{inside if not place else ''}/{variable}")
        if inside and place in ("", inside) and other and record.key not in pairs:
            found |= {record.key: pairs[other.key]} if other.key in pairs else {}
    return found


def _variables(members: Mapping[str, TensorRecord]) -> dict[str, TensorRecord]:
    """Members by (sublayer, variable's name); empty unless that names each of them.

    TensorFlow's object graphs go by attributes, which Keras 3 makes public (`_key_dense`).
    """
    named = {
        f"{_place(key)}/{variable}".lstrip("_").replace("/_", "/"): r
        for key, r in members.items()
        if (variable := r.variable or _stored_as(key))
    }
    return named if len(named) == len(members) else {}


def _stored_as(key: str) -> str:
    """The name under which a layer stores what is not a variable of its own; no number."""
    last = key.rpartition("/")[2]
    return "" if last.isdecimal() else last


def _place(key: str) -> str:
    """The sublayer that a relative key lies in: of `cell/vars/0` and `cell/kernel`, `cell`."""
    return key.rpartition("/")[0].removesuffix("vars").rstrip("/")


def telling(variable: str) -> bool:
    """Whether a variable's name was chosen by the layer's author (`gamma`, not `variable_3`)."""
    return re.fullmatch(r"(variable|var|kernel_variable)?(_?\d+)?", variable) is None
