"""Layers that neither name nor graph decided: what class, shapes and order still prove."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from kerasguard.identity.evidence import container
from kerasguard.identity.pairing import Doubt
from kerasguard.identity.units import Unit, alike

__all__ = ["remaining"]

# Candidates of a doubt that are kept on either side; thousands of layers may be in doubt.
_SHOWN = 4
Units = Mapping[str, Unit]
_OTHER_ORDER = "only this stored layer fits, but the order among layers of its kind has changed"
_OTHER_NAME = "only this stored layer fits, but both its position and its name differ"


def remaining(
    ours: Units,
    theirs: Units,
    claimed: Mapping[str, str],
    address: Mapping[str, str],
    doubted: Mapping[str, Doubt],
    *,
    graph: bool,
) -> tuple[dict[str, str], dict[str, Doubt]]:
    """Pairs by bucket of class and shapes, and doubts about the rest.

    A bucket is settled if all its layers are where the format puts them, or if it holds one layer
    on either side that stands in the same order to what is known, unless place and given names
    both say otherwise. Where the graphs were compared and left it open, that proves nothing.

    Args:
        ours: units of the model.
        theirs: units of the checkpoint.
        claimed: pairs that are decided.
        address: what the format's own addressing says.
        doubted: layers that other evidence contradicts.
        graph: whether the graphs of both were compared.
    """
    free, open_ = _buckets(theirs, set(claimed.values())), _buckets(ours, set(claimed))
    lone: dict[str, str] = {}
    settled: dict[str, str] = {}
    doubts: dict[str, Doubt] = {}
    for shapes, wanting in open_.items():
        offered = free.get(shapes, [])
        calm = doubted.keys().isdisjoint(wanting)
        if calm and _in_place(wanting, offered, ours, theirs, address):
            settled |= {e: address[e] for e in wanting}
        elif calm and len(wanting) == len(offered) == 1 and not graph:
            if alike(ours[wanting[0]], theirs[offered[0]]):
                lone[wanting[0]] = offered[0]
        elif offered:
            doubts |= {e: d for e, d in _several(wanting, offered).items() if e not in doubted}
    ordered = _in_order(ours, theirs, {**claimed, **settled}, lone)
    for e, s in lone.items():
        if e not in ordered:
            doubts[e] = Doubt((s,), _OTHER_ORDER)
        elif address.get(e) != s and _strangers(ours[e], theirs[s]):
            doubts[e] = Doubt((s,), _OTHER_NAME)
        else:
            settled[e] = s
    return settled, doubts


def _in_place(
    wanting: Sequence[str],
    offered: Sequence[str],
    ours: Units,
    theirs: Units,
    address: Mapping[str, str],
) -> bool:
    """Whether all layers of a bucket are where the format puts them, and nothing else is left."""
    places = {address.get(e) for e in wanting}
    return (
        len(wanting) == len(offered)
        and places <= {*offered}
        and all(alike(ours[e], theirs[address[e]]) for e in wanting)
    )


def _strangers(a: Unit, b: Unit) -> bool:
    """Whether a person gave both a name, and neither is the other with something around it.

    Renaming a layer looks like that, and so does taking one out and putting another one in.
    """
    return not a.weak and not b.weak and not (a.name in b.name or b.name in a.name)


def _buckets(side: Units, but: set[str]) -> dict[object, list[str]]:
    found: dict[object, list[str]] = defaultdict(list)
    for key, unit in side.items():
        if key not in but:
            found[unit.shapes].append(key)
    return found


def _several(wanting: Sequence[str], offered: Sequence[str]) -> dict[str, Doubt]:
    reason = f"{len(offered)} stored layers fit {len(wanting)} expected ones of this shape"
    doubts = {}
    for rank, e in enumerate(wanting):
        first = min(rank, len(offered) - 1)
        likely = offered[first : first + _SHOWN] or offered[-1:]
        others = offered[max(first - _SHOWN, 0) : first]
        doubts[e] = Doubt((*likely, *others), reason)
    return doubts


def _in_order(
    ours: Units, theirs: Units, known: Mapping[str, str], new: Mapping[str, str]
) -> set[str]:
    """Those of the new pairs that turn round no pair of the same class in the same model.

    Known pairs that turned round each other say nothing: they moved.
    """
    mine, other = _ranks(ours), _ranks(theirs)
    groups: dict[object, list[tuple[int, int]]] = defaultdict(list)
    for e, s in known.items():
        groups[_together(ours[e], theirs[s])].append((mine[e], other[s]))
    wanted: dict[object, list[str]] = defaultdict(list)
    for e, s in new.items():
        wanted[_together(ours[e], theirs[s])].append(e)
    good: set[str] = set()
    for group, keys in wanted.items():
        fixed = _unturned(groups.get(group, ()))
        lefts, rights = [a for a, _ in fixed], sorted(b for _, b in fixed)
        kept = [
            (mine[e], other[new[e]], e)
            for e in keys
            if bisect_left(lefts, mine[e]) == bisect_left(rights, other[new[e]])
        ]
        still = set(_unturned([(a, b) for a, b, _ in kept]))
        good |= {e for a, b, e in kept if (a, b) in still}
    return good


def _together(a: Unit, b: Unit) -> object:
    """Pairs with the same value stand in an order on both sides."""
    return container(a), container(b)


def _ranks(side: Units) -> dict[str, int]:
    """Rank by number, as Keras counts layers of a class: `dense_2` before `dense_10`."""

    def number(key: str) -> int:
        last = key.replace("-", "_").rpartition("_")[2]
        return int(last) if last.isdecimal() and len(last) <= 18 else 0

    return {key: rank for rank, key in enumerate(sorted(side, key=number))}


def _unturned(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of pairs of ranks, those that are in the same order to all others, ascending."""
    ordered = sorted(pairs)
    highest, below = -1, []
    for _, b in ordered:
        below.append(highest)
        highest = max(highest, b)
    lowest = highest + 1
    kept = []
    for (a, b), before in zip(reversed(ordered), reversed(below), strict=True):
        if before < b < lowest:
            kept.append((a, b))
        lowest = min(lowest, b)
    return kept[::-1]
