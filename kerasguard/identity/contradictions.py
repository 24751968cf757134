"""Pairs of layers that something else speaks against, although place and shapes fit.

A load that goes wrong without an error needs a pair that fits. So every pair that neither a name
nor the caller decided is looked at once more, together with the others: evidence that disagrees is
a doubt, not a choice. Each function here names one kind of disagreement.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_

from kerasguard.identity.evidence import namesakes
from kerasguard.identity.graph import Graph, Seen
from kerasguard.identity.pairing import Doubt
from kerasguard.identity.units import Unit
from kerasguard.tensors import Table, auto_named

__all__ = ["Side", "suspicions"]


@dataclass(frozen=True)
class Side:
    """A model or a checkpoint: its table, layers with weights, and graph."""

    table: Table
    units: Mapping[str, Unit]
    graph: Graph

    def arguments(self, key: str) -> str:
        """Digest of a layer's config; empty where unknown."""
        layer = self.table.layers.get(key)
        return layer.config_digest if layer else ""

    def look(self, key: str) -> Hashable:
        """What layers that could stand for one another have in common."""
        unit = self.units[key]
        return unit.kind, unit.shapes


def suspicions(
    ours: Side, theirs: Side, pairs: Mapping[str, str], trusted: Mapping[str, str]
) -> dict[str, Doubt]:
    """Doubts about pairs, by expected layer.

    Args:
        ours: the model.
        theirs: the checkpoint.
        pairs: stored layer by expected layer.
        trusted: those that a name or the caller decided; they are not doubted.
    """
    found: dict[str, Doubt] = {}
    changed = _changed(ours, theirs, pairs)
    for e, doubt in (
        *_exchanged(ours, theirs, pairs, trusted, changed),
        *_replaced(ours, theirs, changed),
        *_nameless(ours, theirs, pairs, trusted),
        *_transplanted(ours, theirs, pairs),
    ):
        if trusted.get(e) != pairs[e]:
            found.setdefault(e, doubt)
    return found


def _changed(ours: Side, theirs: Side, pairs: Mapping[str, str]) -> dict[str, str]:
    """Pairs whose arguments are known on both sides and differ."""
    return {
        e: s
        for e, s in pairs.items()
        if ours.arguments(e) and theirs.arguments(s) and ours.arguments(e) != theirs.arguments(s)
    }


def _exchanged(
    ours: Side,
    theirs: Side,
    pairs: Mapping[str, str],
    trusted: Mapping[str, str],
    changed: Mapping[str, str],
) -> Iterator[tuple[str, Doubt]]:
    """Another stored layer has the arguments that an expected one got, and is free to be it.

    Of `relu, tanh` that became `tanh, relu`, both got other arguments, or they changed places.
    """
    taken = {s for e, s in pairs.items() if e not in changed or trusted.get(e) == s}
    offered: dict[Hashable, list[str]] = defaultdict(list)
    for s in theirs.units.keys() - taken:
        offered[theirs.look(s), theirs.arguments(s)].append(s)
    for e, s in changed.items():
        others = sorted(offered.get((ours.look(e), ours.arguments(e)), ()))
        if others:
            reason = (
                "the layer stored at its position is configured differently, and another matches"
            )
            yield e, Doubt((*others[:3], s), reason)


def _replaced(ours: Side, theirs: Side, changed: Mapping[str, str]) -> Iterator[tuple[str, Doubt]]:
    """A layer with another given name and other arguments, among others that look like it.

    A layer that was renamed and changed looks like that, and so does another one in its place.
    """
    looks = [Counter(map(side.look, side.units)) for side in (ours, theirs)]
    for e, s in changed.items():
        a, b = ours.units[e], theirs.units[s]
        like = max(looks[0][ours.look(e)], looks[1][theirs.look(s)])
        if a.name and b.name and a.name != b.name and not (a.weak and b.weak) and like > 1:
            reason = (
                "the layer stored at its position has another name and is configured differently"
            )
            yield e, Doubt((s,), reason)


def _nameless(
    ours: Side, theirs: Side, pairs: Mapping[str, str], trusted: Mapping[str, str]
) -> Iterator[tuple[str, Doubt]]:
    """A layer that nobody named stands where a named one was, among others that look like it.

    Names are seldom taken away, unless from all layers; so others' names must have stayed, or one
    of its like was left without a place.
    """
    used = set(pairs.values())
    left = Counter(theirs.look(s) for s in theirs.units.keys() - used)
    looks = Counter(map(ours.look, ours.units))
    kept = any(ours.units[e].name == theirs.units[s].name for e, s in trusted.items())
    for e, s in pairs.items():
        a, b = ours.units[e], theirs.units[s]
        # Not every file tells the class, by which a made-up name is known.
        if not a.weak or b.weak or not b.name or auto_named(b.name, a.kind):
            continue
        if left[theirs.look(s)] or (kept and looks[ours.look(e)] > 1):
            reason = (
                "the layer stored at its position had a user-given name, and others look like it"
            )
            yield e, Doubt((s,), reason)


def _transplanted(
    ours: Side, theirs: Side, pairs: Mapping[str, str]
) -> Iterator[tuple[str, Doubt]]:
    """A layer that named layers reach which it did not follow, instead of those that it did."""
    facts = namesakes(ours.table, theirs.table)
    known = [
        (e, s) for e, s in facts.items() if e in ours.graph.layers and s in theirs.graph.layers
    ]
    if len(known) < 2:  # one cannot stand for another
        return
    left = ours.graph.seen({e: i for i, (e, _) in enumerate(known)}, {})
    right = theirs.graph.seen({s: i for i, (_, s) in enumerate(known)}, {})
    for e, s in pairs.items():
        if e in left and s in right:
            now, before = _above(left[e]), _above(right[s])
            if now & ~before and before & ~now:
                reason = "its inputs are not those of the layer stored at its position"
                yield e, Doubt((s,), reason)


def _above(seen: Seen) -> int:
    return reduce(or_, (mask for call in seen.above for mask in call), 0)
