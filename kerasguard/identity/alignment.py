"""Which layer of one graph is which layer of another: only what every reading has in common.

A pair of layers is a statement about order: what was before a layer is before it still, and enters
the same argument. Pairs are proposed where class, arguments and sizes leave one between the layers
that are known already, or a whole row, in order, if nothing known changed places. Proposals that
contradict each other or what is known are withdrawn, all of them, and called contested.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kerasguard.identity.graph import Graph, Seen

__all__ = ["Alignment", "align"]

# Proposals build on each other; more rounds find nothing in graphs that people draw.
_ROUNDS = 6
_WITHDRAWALS = 16
_MAX_BITS = 1_000_000

Group = list[tuple[str, str]]
Look = Callable[[str], Hashable]


@dataclass(frozen=True)
class Alignment:
    """The result.

    Args:
        pairs: layer of the second graph by layer of the first.
        contested: proposals that were withdrawn, in the same form.
    """

    pairs: Mapping[str, str]
    contested: Mapping[str, str]


def align(
    ours: Graph,
    theirs: Graph,
    known: Mapping[str, str],
    looks: Sequence[tuple[Look, Look]],
    fits: Callable[[str, str], bool],
) -> Alignment:
    """Pair the layers of two graphs.

    Args:
        ours: graph of the model.
        theirs: graph of the checkpoint.
        known: pairs that are facts, whatever the graphs say. One that stands in another place
            than before says nothing of others.
        looks: what layers must have in common, the most telling first, as a function of a layer's
            key on either side; None for a layer that is not to be paired.
        fits: whether a pair is possible at all.
    """
    facts = {e: s for e, s in known.items() if e in ours.layers and s in theirs.layers}
    search = _Search(ours, theirs, facts)
    search.withdraw([])
    still = len(search.anchors) == len(facts)
    for level, (mine, other) in enumerate(looks):
        for _ in range(_ROUNDS):
            groups = [
                group
                for group in search.proposals(mine, other, rows=level == 0 and still)
                if all(fits(e, s) for e, s in group)
            ]
            if not groups:
                break
            search.withdraw(groups)
    return Alignment(search.pairs, search.contested)


class _Search:
    """Pairs found so far, and those among them that others are judged by."""

    def __init__(self, ours: Graph, theirs: Graph, facts: Mapping[str, str]) -> None:
        self.ours, self.theirs = ours, theirs
        self.facts = facts
        self.anchors = dict(facts)
        self.pairs: dict[str, str] = {}
        self.contested: dict[str, str] = {}

    def proposals(self, mine: Look, other: Look, *, rows: bool) -> Iterator[Group]:
        """Groups of pairs that look alike and see the same of what is known."""
        bits: dict[tuple[int, int], int] = {}
        left = self.ours.seen({e: i for i, e in enumerate(self.anchors)}, bits)
        right = self.theirs.seen({s: i for i, s in enumerate(self.anchors.values())}, bits)
        taken = {*self.facts.values(), *self.pairs.values(), *self.contested.values()}
        free = _groups(self.theirs, right, other, taken)
        open_ = _groups(self.ours, left, mine, {*self.facts, *self.pairs, *self.contested})
        for look, wanting in open_.items():
            offered = free.get(look, ())
            if len(offered) == len(wanting) and (rows or len(wanting) == 1):
                yield list(zip(wanting, offered, strict=True))

    def withdraw(self, groups: Sequence[Group]) -> None:
        """Take what is proposed, but for what contradicts the rest or is no row."""
        trial = self.anchors | {e: s for group in groups for e, s in group}
        bits: dict[tuple[int, int], int] = {}
        number = {e: i for i, e in enumerate(trial)}
        left = self.ours.seen(number, bits)
        right = self.theirs.seen({s: i for i, s in enumerate(trial.values())}, bits)
        gone = _contradicting([_differs(left[e], right[s]) for e, s in trial.items()])
        bad = {e for e in trial if gone >> number[e] & 1}
        for group in groups:
            wrong = not bad.isdisjoint(e for e, _ in group)
            if not wrong and _are_rows(group, number, left, right):
                continue
            if not wrong and len(group) > 1:
                for e, _ in group:
                    trial.pop(e)  # equal layers side by side: nothing tells them apart yet
            else:
                bad |= {e for e, _ in group}
        self._settle(trial, bad)

    def _settle(self, trial: dict[str, str], bad: set[str]) -> None:
        """Keep what was tried, without what is bad; that is contested from now on."""
        for e in bad:
            s = trial.pop(e)
            self.pairs.pop(e, None)
            if e not in self.facts:
                self.contested[e] = s
        self.anchors = trial
        self.pairs |= {e: s for e, s in trial.items() if e not in self.facts}


def _groups(
    graph: Graph, seen: Mapping[str, Seen], look: Look, but: set[str]
) -> dict[Hashable, list[str]]:
    """Layers by how they look and what they see, in graph order."""
    found: dict[Hashable, list[str]] = {}
    done: set[str] = set()
    for key, _ in graph.order:
        if key in but or key in done:
            continue
        done.add(key)
        own = look(key)
        if own is not None:
            found.setdefault((own, seen[key].above, seen[key].arguments), []).append(key)
    return found


def _are_rows(
    group: Group, number: Mapping[str, int], left: Mapping[str, Seen], right: Mapping[str, Seen]
) -> bool:
    """Whether the layers of a group follow one another, on both sides."""
    numbers = [number[e] for e, _ in group]
    return _is_row([left[e] for e, _ in group], numbers) and _is_row(
        [right[s] for _, s in group], numbers
    )


def _is_row(row: Sequence[Seen], numbers: Sequence[int]) -> bool:
    """Whether each layer reaches the next."""
    return all(seen.below >> number & 1 for seen, number in zip(row, numbers[1:], strict=False))


def _differs(a: Seen, b: Seen) -> int:
    """Mask of the known layers that two layers do not see alike."""
    if a.above == b.above and a.below == b.below:
        return 0
    return _difference(_flat(a.above), _flat(b.above)) | a.below ^ b.below


def _flat(masks: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(mask for call in masks for mask in call)


def _difference(a: Sequence[int], b: Sequence[int]) -> int:
    if len(a) != len(b):
        a, b = (_union(a),), (_union(b),)
    return _union([x ^ y for x, y in zip(a, b, strict=True)])


def _union(masks: Sequence[int]) -> int:
    result = 0
    for mask in masks:
        result |= mask
    return result


def _contradicting(rows: list[int]) -> int:
    """Mask of the pairs to withdraw, so that no two of the others contradict each other.

    The pair that contradicts most others goes first, with all that contradict as many.
    """
    gone = 0
    for _ in range(_WITHDRAWALS):
        rows = [row & ~gone if not gone >> i & 1 else 0 for i, row in enumerate(rows)]
        total = sum(row.bit_count() for row in rows)
        if not total:
            return gone
        counts = [row.bit_count() for row in rows]
        if total > _MAX_BITS:
            break
        for row in rows:
            while row:
                low = row & -row
                counts[low.bit_length() - 1] += 1
                row ^= low
        most = max(counts)
        for i, count in enumerate(counts):
            if count == most:
                gone |= 1 << i
    for i, row in enumerate(rows):
        if row:
            gone |= row | 1 << i
    return gone
