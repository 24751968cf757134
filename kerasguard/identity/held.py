"""What classes of the user's own hold besides weights: layers in attributes, lists and dicts.

No config spells out such a model, so the places in which layers are held are all that tells of
those without weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from typing import NamedTuple

from kerasguard.errors import listed
from kerasguard.identity.evidence import IDLE
from kerasguard.identity.reduced import around
from kerasguard.tensors import LayerRecord, Table

__all__ = ["held_alone", "held_differences"]

_GRAPHS = frozenset({"Functional", "Sequential"})


class _Held(NamedTuple):
    """One layer in one place.

    Args:
        item: its place in the container, `0`; empty of an attribute.
        weighty: whether it holds weights, itself or in its parts.
        kind: its class.
        digest: of its config.
    """

    item: str
    weighty: bool
    kind: str
    digest: str


def held_alone(layer: LayerRecord) -> bool:
    """Whether nothing but the attributes of a user-defined class tells the layer's place."""
    traced = layer.use is not None and layer.use.graph is not None
    held = layer.use is not None and bool(layer.use.held)
    return held and not traced and layer.inbound is None and layer.class_name not in _GRAPHS


def held_differences(expected: Table, stored: Table) -> Iterator[str]:
    """Layers without weights that the model holds elsewhere, or in another form, than when saved.

    A container that both have is compared place by place, a list as a whole since one more layer
    moves the others. What one side alone has, renamed attributes for one, is counted: as many of a
    kind as there were are the same.
    """
    weighty = _weighty(expected) | _weighty(stored)
    ours, theirs = _containers(expected, weighty), _containers(stored, weighty)
    if not _known(expected) or not _known(stored):
        return  # nobody recorded what one of them holds
    rest: list[Counter[tuple[str, str]]] = [Counter(), Counter()]
    for place in dict.fromkeys([*ours, *theirs]):
        mine, other = ours.get(place, []), theirs.get(place, [])
        if not place or not mine or not other:
            for count, side in zip(rest, (mine, other), strict=True):
                count.update((one.kind, one.digest) for one in side if not one.weighty)
        elif _weights(mine) == _weights(other) and _order(mine) != _order(other):
            now, before = (listed([one.kind for one in side], 8) for side in (mine, other))
            how = f"{now}, but were {before}" if now != before else "configured differently than"
            yield (
                f"the layers in {place} are {how} when the model was saved; no weights are "
                "affected, but predictions may be"
            )
    came, gone = rest[0] - rest[1], rest[1] - rest[0]
    told = [
        f"{verb} {listed(sorted(kind for kind, _ in some))}, which the saved model {had}"
        for verb, some, had in (("holds", came, "did not"), ("lacks", gone, "held"))
        if some
    ]
    if told:
        yield f"the model {' and '.join(told)}; no weights are affected, but predictions may be"


def _known(table: Table) -> bool:
    return any(layer.use is not None and layer.use.held for layer in table.layers.values())


def _weighty(table: Table) -> set[str]:
    """Classes of layers with weights; a file may have those under keys of another kind."""
    holding = {h for r in table.tensors.values() if r.role == "weight" for h in around(r.layer)}
    return {table.layers[key].class_name for key in holding if key in table.layers}


def _containers(table: Table, weighty: Container[str]) -> dict[str, list[_Held]]:
    """What is held in each list or dict; under an empty key what attributes hold themselves."""
    found: dict[str, list[_Held]] = {}
    for layer in table.layers.values():
        if not held_alone(layer) or layer.class_name in IDLE or layer.use is None:
            continue
        for place in layer.use.held:
            around, _, item = place.rpartition("[") if place.endswith("]") else ("", "", "")
            kind = layer.class_name
            one = _Held(item.rstrip("]"), kind in weighty, kind, layer.config_digest)
            found.setdefault(around, []).append(one)
            if not around:
                break
    return found


def _weights(side: list[_Held]) -> int:
    return sum(one.weighty for one in side)


def _order(side: list[_Held]) -> object:
    """A list's layers in order, with weights or what they are; a dict's by their keys."""
    if all(one.item.isdecimal() for one in side):
        ordered = sorted(side, key=lambda one: int(one.item))
        return [None if one.weighty else (one.kind, one.digest) for one in ordered]
    return {one.item: (one.kind, one.digest) for one in side if not one.weighty}
