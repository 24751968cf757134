"""Which stored tensor is which expected tensor: all evidence together, contradictions refused.

The unit of identity is the layer: its tensors travel together. Evidence, from strong to weak:
what the caller says (`renames`), the format's own addressing where it is total and nothing
contradicts it, user-given names, the place in the graph, and the only assignment that
class and shapes leave open. Whatever stays open is a `Doubt` with its candidates, never a guess
that looks like an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from kerasguard.identity.alignment import Alignment, align
from kerasguard.identity.contradictions import Side, suspicions
from kerasguard.identity.decision import Claims, Decision
from kerasguard.identity.evidence import (
    addressed,
    given_keys,
    given_names,
    namesakes,
    placed,
    reordered,
    same_holder,
    same_layers,
    same_shapes,
)
from kerasguard.identity.graph import Graph
from kerasguard.identity.pairing import Doubt, Pairing
from kerasguard.identity.renames import asked, renamed
from kerasguard.identity.units import Unit, fits, members, units
from kerasguard.tensors import Table

__all__ = ["pair"]

Units = Mapping[str, Unit]


def pair(
    expected: Table, stored: Table, renames: Mapping[str, str] | None = None, *, own: bool = False
) -> Pairing:
    """Decide which stored weight each expected weight gets.

    Law: a stored tensor goes to one expected tensor at most; where tensors are addressed by key or
    by name, the order of the tables' entries decides nothing.

    Args:
        expected: the model's table.
        stored: the checkpoint's table, with all that manifest and stored config tell of it.
        renames: patterns of stored names or keys (`old/*`) to expected ones (`new/*`).
        own: whether the model was built from the checkpoint's own architecture. Its layers were
            then made in the order of their graph, whatever code made them in before.

    Raises:
        ArgumentError: an entry of `renames` matches no layer, on either side.
    """
    ours = units(expected)
    theirs = units(renamed(stored, renames) if renames else stored)
    claims, doubts = Claims(), dict[str, Doubt]()
    if renames:
        claims.add(asked(_names(ours), _names(units(stored)), renames), "renames")
    address = addressed(ours, theirs, stored.addressing)
    total = len(address) == len(ours) == len(theirs) and not claims.layers
    names = given_names(ours, theirs)
    same = same_layers(expected, stored)
    anew = placed(expected) if own and same else set()
    odd = {
        e: s
        for e, s in reordered(ours, theirs, address).items()
        if not (ours[e].weak and (e in anew or same_holder(expected, stored, e, s)))
    }
    plain = total and not odd and _agree(names, address) and _fit(ours, theirs, address)
    if plain and same:
        claims.add(address, "address")
    else:
        left = Side(expected, ours, Graph.of(expected.layers))
        right = Side(stored, theirs, Graph.of(stored.layers))
        trusted = {**names, **given_keys(ours, theirs), **claims.layers}
        found = _aligned(left, right, {**names, **claims.layers})
        if plain and _uncontested(found, address):
            claims.add(address, "address")
        else:
            doubts = Decision(ours, theirs, claims, names, found, address, odd).doubts_left()
        suspected = suspicions(left, right, claims.layers, trusted)
        claims.withdraw(suspected)
        doubts |= suspected
    tensors = {
        a: b for e, s in claims.layers.items() for a, b in members(ours[e], theirs[s]).items()
    }
    return Pairing(claims.layers, claims.evidence, tensors, doubts, ours, theirs)


def _fit(ours: Units, theirs: Units, address: Mapping[str, str]) -> bool:
    """Whether everything has the shapes of what lies at its address."""
    return all(same_shapes(ours[e], theirs[s]) for e, s in address.items())


def _uncontested(found: Alignment | None, address: Mapping[str, str]) -> bool:
    """Whether the graphs, as far as they are known, say what the addressing says."""
    return found is None or (not found.contested and _agree(found.pairs, address))


def _agree(pairs: Mapping[str, str], address: Mapping[str, str]) -> bool:
    """Whether no pair contradicts the addressing."""
    taken = {s: e for e, s in address.items()}
    return all(
        address.get(e, s) == s and taken.get(s, e) == e
        for e, s in pairs.items()
        if e in address or s in taken
    )


def _aligned(ours: Side, theirs: Side, names: Mapping[str, str]) -> Alignment | None:
    """What the graphs say; None where one of them is not known."""
    if not ours.graph.layers or not theirs.graph.layers:
        return None

    def looks(side: Side) -> list[Callable[[str], Hashable]]:
        layers, units_ = side.graph.layers, side.units

        def whole(key: str) -> Hashable:
            layer, unit = layers[key], units_.get(key)
            return layer.class_name, layer.config_digest, unit.sizes if unit else ()

        def shaped(key: str) -> Hashable:
            unit = units_.get(key)
            return (layers[key].class_name, unit.sizes) if unit else None

        def named(key: str) -> Hashable:
            return layers[key].class_name if key in units_ else None

        return [whole, shaped, named]

    facts = {**namesakes(ours.table, theirs.table), **names}
    # A layer whose namesake does not fit it goes with no other.
    pairs = list(zip(looks(ours), looks(theirs), strict=True))
    return align(ours.graph, theirs.graph, facts, pairs, _fitting(ours.units, theirs.units))


def _fitting(ours: Units, theirs: Units) -> Callable[[str, str], bool]:
    def possible(e: str, s: str) -> bool:
        return (e in ours) == (s in theirs) and (e not in ours or fits(ours[e], theirs[s]))

    return possible


def _names(units_: Units) -> dict[str, str]:
    return {key: unit.name for key, unit in units_.items()}
