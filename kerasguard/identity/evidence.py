"""What speaks for two layers being the same, and what speaks against the format's addressing.

Each function reads one kind of evidence off two tables; `identity` weighs them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from kerasguard.identity.units import Unit, alike, fits
from kerasguard.tensors import LayerRecord, Table, auto_named

__all__ = [
    "IDLE",
    "addressed",
    "around",
    "container",
    "given_keys",
    "given_names",
    "namesakes",
    "placed",
    "reordered",
    "same_holder",
    "same_layers",
    "same_shapes",
    "weightless",
]

_MODELS = frozenset({"Functional", "Sequential"})


# Layers that let everything pass when a model predicts.
IDLE = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "InputLayer",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    }
)


def addressed(
    ours: Mapping[str, Unit], theirs: Mapping[str, Unit], addressing: str
) -> dict[str, str]:
    """What the format itself says: equal keys, else the same rank among layers with weights."""
    if addressing == "key" or set(ours) <= set(theirs):
        return {key: key for key in ours if key in theirs}
    if addressing == "order" and len(ours) == len(theirs):
        return dict(zip(ours, theirs, strict=True))
    if addressing == "name":
        by_name = {u.name: s for s, u in theirs.items()}
        return {e: by_name[u.name] for e, u in ours.items() if u.name in by_name}
    return {}


def given_names(ours: Mapping[str, Unit], theirs: Mapping[str, Unit]) -> dict[str, str]:
    """Layers of one user-given name, where it occurs once on either side."""
    left, right = _unique_names(ours), _unique_names(theirs)
    return {e: right[name] for name, e in left.items() if name in right}


def _unique_names(side: Mapping[str, Unit]) -> dict[str, str]:
    names = {key: unit.name for key, unit in side.items() if not unit.weak}
    count = Counter(names.values())
    return {name: key for key, name in names.items() if count[name] == 1}


def given_keys(ours: Mapping[str, Unit], theirs: Mapping[str, Unit]) -> dict[str, str]:
    """Layers under one key that a person gave: an attribute, not a place in a list of layers."""
    return {e: e for e, unit in ours.items() if e in theirs and not _numbered(unit)}


def _numbered(unit: Unit) -> bool:
    last = unit.key.rpartition("/")[2]
    return not last or not unit.kind or auto_named(last, unit.kind) or last.isdecimal()


def namesakes(expected: Table, stored: Table) -> dict[str, str]:
    """Layers, with or without weights, of one class and one user-given name."""

    def names(layers: Mapping[str, LayerRecord]) -> dict[tuple[str, str], str]:
        given = {k: (r.name, r.class_name) for k, r in layers.items() if not r.auto_named}
        count = Counter(name for name, _ in given.values())
        return {look: key for key, look in given.items() if count[look[0]] == 1}

    left, right = names(expected.layers), names(stored.layers)
    return {e: right[look] for look, e in left.items() if look in right}


def same_layers(expected: Table, stored: Table) -> bool:
    """Whether both have the same layers under the same keys, called on the same.

    Also those without weights: inputs that changed places are other inputs.
    """
    ours = {k: r for k, r in expected.layers.items() if r.inbound is not None}
    theirs = {k: r for k, r in stored.layers.items() if r.inbound is not None}
    same = len(ours) == len(theirs) and all(
        (other := theirs.get(key)) is not None
        and (mine.class_name, mine.config_digest, mine.inbound)
        == (other.class_name, other.config_digest, other.inbound)
        for key, mine in ours.items()
    )
    if not same:
        return False
    renamed = [(mine, theirs[key]) for key, mine in ours.items() if mine.name != theirs[key].name]
    elsewhere = {mine.name for mine, _ in renamed} & {other.name for _, other in renamed}
    return all(mine.auto_named for mine, _ in renamed if mine.name in elsewhere)


def same_holder(expected: Table, stored: Table, e: str, s: str) -> bool:
    """Whether both layers are held in the same places by classes of the user's own."""
    mine, other = expected.layers.get(e), stored.layers.get(s)
    if mine is None or other is None or mine.use is None or other.use is None:
        return False
    return bool(mine.use.held) and mine.use.held == other.use.held


def same_shapes(a: Unit, b: Unit) -> bool:
    """Whether two layers fit and their tensors have the same sizes of axes, in some order."""
    if a.shapes == b.shapes and alike(a, b):
        return True  # what follows takes longer
    return fits(a, b) and Counter(map(_axes, a.shapes)) == Counter(map(_axes, b.shapes))


def _axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(shape))


def container(unit: Unit) -> tuple[str, str]:
    """Within which Keras numbers a layer: the model around it, and its class."""
    return unit.key.rpartition("/")[0], unit.kind


def reordered(
    ours: Mapping[str, Unit], theirs: Mapping[str, Unit], address: Mapping[str, str]
) -> dict[str, str]:
    """Addressed layers whose neighbours of the same look were made in another order.

    Keras counts up as layers are made (`dense_7`, `dense_8`). Running the same code again gives
    other numbers in the same order. Another order among layers that could stand for one another
    means that the code makes them, or uses them, in a different order than when the model was
    saved. Also where user-given names changed, and the old ones are parts of others' new ones.
    """
    groups: dict[object, list[tuple[int, int, str]]] = defaultdict(list)
    found: dict[str, str] = {}
    for e, s in address.items():
        unit, other = ours[e], theirs[s]
        mine, before = _number(unit.name, unit.kind), _number(other.name, unit.kind)
        if mine is not None and before is not None:
            # A normalisation without its offset is one of its like.
            groups[unit.kind, frozenset(unit.shapes)].append((mine, before, e))
    for group in groups.values():
        group.sort()
        ranks = [before for _, before, _ in group]
        if ranks != sorted(ranks) and len({mine for mine, _, _ in group}) == len(group):
            found |= {e: address[e] for _, _, e in group}
    return found | _crossed_names(ours, theirs, address)


def _number(name: str, kind: str) -> int | None:
    """The number that Keras gave: of `dense_7`, 7; of `dense`, 0; None for other names."""
    if not auto_named(name, kind):
        return None
    rest = name[len(kind) + 1 :]
    return int(rest) if rest else 0


def _crossed_names(
    ours: Mapping[str, Unit], theirs: Mapping[str, Unit], address: Mapping[str, str]
) -> dict[str, str]:
    """Renamed layers whose new name is the old name of another one with something around it."""
    mine, other = _given(ours), _given(theirs)
    new = {name: e for name, e in mine.items() if name not in other}
    old = {name: s for name, s in other.items() if name not in mine}
    ends = {*_inside(new, old), *((e, s) for s, e in _inside(old, new))}
    ends = {(e, s) for e, s in ends if ours[e].shapes == theirs[s].shapes}
    lefts, rights = {e for e, _ in ends}, {s for _, s in ends}
    return {e: s for e, s in address.items() if (e, s) not in ends and (e in lefts or s in rights)}


def _given(units: Mapping[str, Unit]) -> dict[str, str]:
    """Keys of the units by the user-given name."""
    return {unit.name: key for key, unit in units.items() if not unit.weak}


def _inside(longer: Mapping[str, str], shorter: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Pairs of keys where one's name is a part of the other's."""
    for name, key in longer.items():
        yield from ((key, shorter[part]) for part in _parts(name) if part in shorter)


def _parts(name: str) -> Iterable[str]:
    """What is left of a name without the words at its start or at its end."""
    cuts = [m.start() for m in re.finditer(r"[/_.\- ]", name)]
    yield from (name[cut + 1 :] for cut in cuts)
    yield from (name[:cut] for cut in cuts)


def weightless(table: Table) -> dict[str, LayerRecord]:
    """The layers and operations without weights whose place in the graph is known.

    A model is none, but the layers in it; nor is a second place of a layer that has its weights at
    the first, as where two models share it: a config spells it out in both.
    """
    here = placed(table)
    weighty = {r.layer for r in table.tensors.values() if r.role == "weight"}
    holding = {around(key) for key in here}
    for key in weighty:
        parts = key.split("/")
        holding |= {"/".join(parts[:n]) for n in range(1, len(parts))}
    first = {_looks(table.layers[key]) for key in weighty & here}
    return {
        key: table.layers[key]
        for key in here - holding - weighty
        if table.layers[key].class_name not in _MODELS and _looks(table.layers[key]) not in first
    }


def _looks(layer: LayerRecord) -> tuple[str, str, str]:
    return layer.name, layer.class_name, layer.config_digest


def placed(table: Table) -> set[str]:
    """Keys of the layers and operations whose place in the graph is known."""
    return {key for key, r in table.layers.items() if r.inbound is not None}


def around(key: str) -> str:
    """The model that a layer lies in: of `layers/functional/layers/dense`, `layers/functional`."""
    cut = max(key.rfind("/layers/"), key.rfind("/operations/"))
    return key[:cut] if cut > 0 else ""
