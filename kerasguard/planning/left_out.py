"""A draft without what the caller leaves out of a load, on either side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

from kerasguard.identity.globs import covers
from kerasguard.identity.pair import pair
from kerasguard.identity.pairing import Pairing
from kerasguard.identity.reduced import reduced
from kerasguard.identity.renumbered import renumbered
from kerasguard.identity.units import Unit, units
from kerasguard.planning.neighbours import beside_places, rows
from kerasguard.planning.operations import Step
from kerasguard.tensors import Table

__all__ = ["NOTHING", "LeftOut", "beside", "by_steps", "outside", "partial"]


@dataclass(frozen=True)
class LeftOut:
    """What the caller leaves out.

    Args:
        keys: of the model's tensors that keep their values, optimizer slots included.
        layers: of the model's layers all of whose tensors do.
        skip: patterns of paths, which also name what the checkpoint may hold beside it.
        only: whether the caller said what is wanted: then what the checkpoint has before or after
            it is not missed.
        aside: stored tensors that are known to belong to what is left out.
    """

    keys: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    skip: tuple[str, ...] = ()
    only: bool = False
    aside: frozenset[str] = frozenset()


NOTHING = LeftOut()


def partial(
    pairing: Pairing,
    expected: Table,
    stored: Table,
    out: LeftOut,
    renames: Mapping[str, str] | None,
) -> tuple[Pairing, frozenset[str]]:
    """The pairing of what is wanted, and the stored tensors that belong to what is not.

    The whole model is paired with the whole checkpoint first. Where that leaves something open, or
    without a place, the model as it would be without what is left out is paired with the
    checkpoint, without what belongs to that: a block that was inserted has moved all others.

    Args:
        pairing: of everything.
        expected: the model's table.
        stored: the checkpoint's.
        out: what is left out.
        renames: the caller's.
    """
    whole = best = _wanted(pairing, out.keys)
    aside = beside(pairing, out, stored)
    taken = beside(pairing, out, stored, around=False)
    for kept in (taken, frozenset[str]()) if _open(whole) else ():
        again = _again(reduced(expected, out.keys), reduced(stored, kept), renames)
        if _open(again) < _open(best):
            found = replace(again, stored=pairing.stored)
            best, aside = found, beside(_with_left(found, pairing), out, stored)
        if _open(best) == 0:
            break
    return best, aside


def by_steps(steps: Iterable[Step], expected: Table, stored: Table) -> Pairing:
    """What the steps of a format that pairs by itself say of layers."""
    ours, theirs = units(expected), units(stored)
    mine = {r.key: e for e, unit in ours.items() for r in unit.members.values()}
    other = {r.key: s for s, unit in theirs.items() for r in unit.members.values()}
    tensors = {step.target: step.sources[0] for step in steps}
    layers = {mine[a]: other[b] for a, b in tensors.items() if a in mine and b in other}
    return Pairing(layers, {}, tensors, {}, ours, theirs)


def _open(pairing: Pairing) -> int:
    """How many of the layers have no certain counterpart, or not for all of their tensors."""
    return sum(
        e in pairing.doubts or any(r.key not in pairing.tensors for r in unit.members.values())
        for e, unit in pairing.expected.items()
    )


def _wanted(pairing: Pairing, left: Collection[str]) -> Pairing:
    """The pairing without what is left out; a layer of which a part is wanted stays."""
    expected = {
        e: replace(unit, members={k: r for k, r in unit.members.items() if r.key not in left})
        for e, unit in pairing.expected.items()
    }
    expected = {e: unit for e, unit in expected.items() if unit.members}
    return replace(
        pairing,
        layers={e: s for e, s in pairing.layers.items() if e in expected},
        evidence={e: why for e, why in pairing.evidence.items() if e in expected},
        tensors={a: b for a, b in pairing.tensors.items() if a not in left},
        doubts={e: doubt for e, doubt in pairing.doubts.items() if e in expected},
        expected=expected,
    )


def _again(expected: Table, stored: Table, renames: Mapping[str, str] | None) -> Pairing:
    """What is left of both, paired under the keys that it would have alone."""
    ours, theirs = renumbered(expected), renumbered(stored)
    if stored.addressing != "key":
        theirs = replace(theirs, table=stored, old={})
    found = pair(ours.table, theirs.table, None if renames else renames)
    mine, other = ours.old, theirs.old

    def back(unit: Unit, old: Mapping[str, str]) -> Unit:
        members = {
            k: replace(r, key=old.get(r.key, r.key), layer=old.get(r.layer, r.layer))
            for k, r in unit.members.items()
        }
        return replace(unit, key=old.get(unit.key, unit.key), members=members)

    def s(key: str) -> str:
        return other.get(key, key)

    return Pairing(
        {mine[e]: s(key) for e, key in found.layers.items()},
        {mine[e]: why for e, why in found.evidence.items()},
        {mine[a]: s(b) for a, b in found.tensors.items()},
        {
            mine[e]: replace(doubt, candidates=tuple(s(c) for c in doubt.candidates))
            for e, doubt in found.doubts.items()
        },
        {mine[e]: back(unit, mine) for e, unit in found.expected.items()},
        {s(key): back(unit, other) for key, unit in found.stored.items()},
    )


def _with_left(found: Pairing, whole: Pairing) -> Pairing:
    """With the layers that are left out, paired where nobody else took theirs."""
    taken = set(found.layers.values())
    more = {e: s for e, s in whole.layers.items() if e not in found.expected and s not in taken}
    tensors = {
        r.key: whole.tensors[r.key]
        for e in more
        for r in whole.expected[e].members.values()
        if r.key in whole.tensors
    }
    return replace(
        found,
        layers={**found.layers, **more},
        tensors={**found.tensors, **tensors},
        expected={e: found.expected.get(e, unit) for e, unit in whole.expected.items()},
        stored=whole.stored,
    )


def outside(pairing: Pairing, stored: Table) -> frozenset[str]:
    """Stored tensors beside a model inside the stored one, if that is the whole of what is wanted.

    A backbone out of a classifier's file: nobody misses the classifier.

    Args:
        pairing: of everything.
        stored: the checkpoint's table.
    """
    if _open(pairing) or len(pairing.expected) < 2:
        return frozenset()
    used = set(pairing.tensors.values())
    weights = {key for key, record in stored.tensors.items() if record.role == "weight"}
    # Of sorted paths the first and the last differ soonest.
    folders = sorted(key.rpartition("/")[0].split("/") for key in used)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(folders[0], folders[-1], strict=False))
    root = [level for level, _ in same]
    rest = {key for key in weights if key.split("/")[: len(root)] != root}
    if not rest or weights - rest != used:
        return frozenset()
    return frozenset(rest | {k for k, r in stored.tensors.items() if r.slot_of in rest})


def beside(pairing: Pairing, out: LeftOut, stored: Table, *, around: bool = True) -> frozenset[str]:
    """Stored tensors that belong to what is left out, with the optimizer's state of them.

    Those are the counterparts of the model's; what the caller's patterns match in the checkpoint;
    and layers that lie where the model has what is left out: between the same neighbours.

    Args:
        pairing: of everything.
        out: what is left out.
        stored: the checkpoint's table.
        around: whether neighbours count; not where some of them are not known yet.
    """
    theirs = pairing.stored
    found = {b for a, b in pairing.tensors.items() if a in out.keys}
    wanted = {b for a, b in pairing.tensors.items() if a not in out.keys}
    layers = {s for e, s in pairing.layers.items() if _left(pairing.expected[e], out.keys) is True}
    layers |= {s for s in theirs if _named(stored, theirs[s], out.skip)}
    if around:
        layers |= set(_between(pairing, out, stored))
    found |= {r.key for s in layers for r in theirs[s].members.values()}
    found -= wanted
    found |= {k for k, r in stored.tensors.items() if r.slot_of in found}
    return frozenset(found)


def _left(unit: Unit, keys: Collection[str]) -> bool | None:
    """Whether all (True), none (False) or some (None) of the layer's tensors are left out."""
    some = {record.key in keys for record in unit.members.values()}
    return None if len(some) > 1 else some.pop()


def _named(stored: Table, unit: Unit, patterns: Collection[str]) -> bool:
    """Whether the caller's patterns match the layer's path in the checkpoint.

    A number that Keras gave it says nothing: `dense_2` may be another layer there.
    """
    if not patterns or unit.weak:
        return False
    parts = unit.key.split("/")
    around = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    names = [stored.layers[path].name for path in around if path in stored.layers]
    paths = {"/".join(names), unit.name, *(r.name for r in unit.members.values())}
    return any(covers(pattern, path) for pattern in patterns for path in paths if path)


def _between(pairing: Pairing, out: LeftOut, stored: Table) -> Iterator[str]:
    """Stored layers that nobody wants, where the model has layers that are left out."""
    claimed = {
        s: e for e, s in pairing.layers.items() if _left(pairing.expected[e], out.keys) is not True
    }
    for ours, theirs in rows(pairing, stored):
        place_of = {e: i for i, e in enumerate(ours)}
        places = [place_of.get(claimed.get(s, "")) for s in theirs]
        left = [i for i, e in enumerate(ours) if _left(pairing.expected[e], out.keys)]
        near = beside_places(places, left, len(ours), ends=bool(out.only))
        yield from (s for s, yes in zip(theirs, near, strict=True) if yes and s not in claimed)
