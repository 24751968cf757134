"""The decision where the format's addressing alone does not decide: evidence from strong to weak.

Each step claims pairs or raises doubts, and no step takes back what one before it claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kerasguard.identity.alignment import Alignment
from kerasguard.identity.evidence import given_keys, reordered
from kerasguard.identity.leftovers import remaining
from kerasguard.identity.pairing import Doubt, Evidence
from kerasguard.identity.units import Unit, fits

__all__ = ["Claims", "Decision"]

Units = Mapping[str, Unit]
Pairs = Mapping[str, str]

_TWO_PLACES = "its position in the graph matches one stored layer, its class and arguments another"
_OTHER_ORDER = "layers of its kind are created in a different order than when the file was saved"


class Claims:
    """Pairs of layers and what decided them; a layer is claimed once, on either side."""

    def __init__(self) -> None:
        self.layers: dict[str, str] = {}
        self.evidence: dict[str, Evidence] = {}
        self.used: set[str] = set()

    def add(self, new: Pairs, why: Evidence) -> None:
        """Claim what is free on both sides."""
        for e, s in new.items():
            if e not in self.layers and s not in self.used:
                self.layers[e], self.evidence[e] = s, why
                self.used.add(s)

    def withdraw(self, doubted: Iterable[str]) -> None:
        """Take pairs back; nobody else may have their stored layers, which are in doubt, too."""
        for e in doubted:
            del self.layers[e], self.evidence[e]


@dataclass
class Decision:
    """One decision on its way.

    Args:
        ours: units of the model.
        theirs: units of the checkpoint.
        claims: what the caller decided; the steps add to it.
        names: pairs by user-given names.
        found: what the graphs say; None where one of them is not known.
        address: pairs by the format's own addressing.
        odd: addressed pairs whose names contradict the order that they were made in.
        doubts: expected layers that stay open.
    """

    ours: Units
    theirs: Units
    claims: Claims
    names: Pairs
    found: Alignment | None
    address: Pairs
    odd: Pairs
    doubts: dict[str, Doubt] = field(default_factory=dict)

    def doubts_left(self) -> dict[str, Doubt]:
        """Take every step, in order of strength; what is still open afterwards."""
        self._by_name()
        self._by_given_key()
        if self.found is not None:
            self._by_graph(self.found)
        self._doubt_another_order()
        self._by_what_is_left()
        return self.doubts

    def _by_name(self) -> None:
        self.claims.add(self._fitting(self.names), "name")

    def _by_given_key(self) -> None:
        self.claims.add(self._fitting(given_keys(self.ours, self.theirs)), "address")

    def _by_graph(self, found: Alignment) -> None:
        """Places in the graph, but for layers that were made in another order."""
        free = {e: s for e, s in found.pairs.items() if e in self.ours}
        pairs = self._in_order({e: s for e, s in free.items() if e not in self.claims.layers})
        self.claims.add(self._addressed(pairs), "address")
        self.claims.add(pairs, "graph")
        for e, s in self._undecided(found.contested).items():
            if e in self.ours:
                self.doubts[e] = Doubt((s,), _TWO_PLACES)

    def _in_order(self, pairs: Pairs) -> Pairs:
        """The pairs of the graph that neither contradict the names' order nor rest on it."""
        odd = {**self.odd, **reordered(self.ours, self.theirs, pairs)}
        pairs = {e: s for e, s in pairs.items() if e not in odd or self.address.get(e) != s}
        still = reordered(self.ours, self.theirs, pairs)
        self.odd = {e: s for e, s in odd.items() if e not in pairs} | still
        return {e: s for e, s in pairs.items() if e not in self.odd}

    def _doubt_another_order(self) -> None:
        for e, s in self._undecided(self.odd).items():
            self.doubts.setdefault(e, Doubt((s,), _OTHER_ORDER))

    def _undecided(self, pairs: Pairs) -> Pairs:
        """Those whose expected layer has none yet, and whose stored one the caller gave to none."""
        claimed, why = self.claims.layers, self.claims.evidence
        said = {s for e, s in claimed.items() if why[e] == "renames"}
        return {e: s for e, s in pairs.items() if e not in claimed and s not in said}

    def _by_what_is_left(self) -> None:
        """The only assignment that class and shapes leave open, then the format's addressing."""
        graph = self.found is not None
        rest, open_ = remaining(
            self.ours, self.theirs, self.claims.layers, self.address, self.doubts, graph=graph
        )
        self.claims.add(self._addressed(rest), "address")
        self.claims.add(rest, "shape")
        self.doubts |= open_
        # Nothing else fits them: the rules tell what differs, axes or sizes.
        left = {e: s for e, s in self.address.items() if e not in self.doubts}
        self.claims.add(self._fitting(left), "address")

    def _fitting(self, pairs: Pairs) -> Pairs:
        return {e: s for e, s in pairs.items() if fits(self.ours[e], self.theirs[s])}

    def _addressed(self, pairs: Pairs) -> Pairs:
        return {e: s for e, s in pairs.items() if self.address.get(e) == s}
