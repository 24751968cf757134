"""Which stored tensor is which expected tensor: all evidence together, contradictions refused.

The unit of identity is the layer: its tensors travel together. Evidence, from strong to weak:
what the caller says (`renames`), the format's own addressing where it is total and nothing
contradicts it, names that a person gave, the place in the graph, and the only assignment that
class and shapes leave open. Whatever stays open is a `Doubt` with its candidates, never a guess
that looks like an answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from kerasguard.tensors import Table
from kerasguard.units import Unit, alike, fits, members, units

__all__ = ["Doubt", "Evidence", "Pairing", "pair"]

# Candidates of a doubt that are kept on either side; thousands of layers may be in doubt.
_SHOWN = 4
Evidence = Literal["renames", "address", "name", "graph", "shape"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """An expected layer for which several stored layers remain, or evidence that disagrees.

    Args:
        candidates: keys of the stored layers, the likeliest first.
        reason: why it was not decided.
    """

    candidates: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Pairing:
    """The result: layers, tensors, and what could not be decided.

    Args:
        layers: stored layer by expected layer.
        evidence: what decided it, by expected layer.
        tensors: stored key by expected key; only weights, no optimizer state.
        doubts: by expected layer.
        expected: units of the model, by key.
        stored: units of the checkpoint, by key.
    """

    layers: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    expected: Mapping[str, Unit] = field(default_factory=dict)
    stored: Mapping[str, Unit] = field(default_factory=dict)

    @property
    def addressed(self) -> bool:
        """Whether the format's own addressing was the whole answer."""
        return not self.doubts and all(e == "address" for e in self.evidence.values())


def pair(expected: Table, stored: Table, renames: Mapping[str, str] | None = None) -> Pairing:
    """Decide which stored weight each expected weight gets.

    Args:
        expected: the model's table.
        stored: the checkpoint's table, with all that manifest and stored config tell of it.
        renames: patterns of stored names or keys (`old/*`) to expected ones (`new/*`).
    """
    ours = units(expected)
    theirs = units(_renamed(stored, renames) if renames else stored)
    claimed: dict[str, str] = {}
    evidence: dict[str, Evidence] = {}
    doubts: dict[str, Doubt] = {}
    address = _address(ours, theirs, stored.addressing)
    if renames:
        _claim(_by_new_name(ours, theirs, renames), "renames", claimed, evidence)
    total = len(address) == len(ours) == len(theirs) and not claimed
    witnesses = _witnesses(ours, theirs)
    against = {e for e, s in address.items() for w in witnesses if w.get(e, s) != s}
    taken = {s: e for w in witnesses for e, s in w.items()}
    against |= {e for e, s in address.items() if s in taken and taken[s] != e}
    if total and not against and all(fits(ours[e], theirs[s]) for e, s in address.items()):
        _claim(address, "address", claimed, evidence)
    else:
        _decide(ours, theirs, address, witnesses, claimed, evidence, doubts)
    tensors = {a: b for e, s in claimed.items() for a, b in members(ours[e], theirs[s]).items()}
    return Pairing(claimed, evidence, tensors, doubts, ours, theirs)


def _claim(
    new: Mapping[str, str],
    why: Evidence,
    claimed: dict[str, str],
    evidence: dict[str, Evidence],
) -> None:
    used = set(claimed.values())
    for e, s in new.items():
        if e not in claimed and s not in used:
            claimed[e], evidence[e] = s, why
            used.add(s)


def _renamed(stored: Table, renames: Mapping[str, str]) -> Table:
    """The stored table with the caller's new names on its layers; keys stay, they address bytes."""
    layers = dict(stored.layers)
    for key, layer in stored.layers.items():
        for old, new in renames.items():
            target = _substitute(layer.name, old, new) or _substitute(key, old, new)
            if target is not None:
                layers[key] = type(layer)(
                    key,
                    target,
                    layer.class_name,
                    layer.config_digest,
                    layer.inbound,
                    layer.position,
                )
    return Table(stored.tensors, layers, stored.addressing)


def _substitute(text: str, old: str, new: str) -> str | None:
    """`text` after `old` -> `new`, where `*` at the end stands for the same rest in both."""
    old, new = old.removesuffix("/*"), new.removesuffix("/*")
    if old.endswith("*") and new.endswith("*") and text.startswith(old[:-1]):
        return new[:-1] + text[len(old) - 1 :]
    return new if fnmatchcase(text, old) else None


def _by_new_name(
    ours: Mapping[str, Unit], theirs: Mapping[str, Unit], renames: Mapping[str, str]
) -> dict[str, str]:
    """Pairs that the caller asked for, by the name or key he wants the stored layer to have."""
    wanted = [new.removesuffix("/*").removesuffix("*") for new in renames.values()]
    by_name = {u.name: e for e, u in ours.items()} | {e: e for e in ours}
    return {
        by_name[u.name]: s
        for s, u in theirs.items()
        if u.name in by_name and any(u.name.startswith(w) for w in wanted)
    }


def _address(
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


def _witnesses(ours: Mapping[str, Unit], theirs: Mapping[str, Unit]) -> list[dict[str, str]]:
    """Independent bodies of evidence that may contradict the addressing; each is one-to-one."""

    def unique(side: Mapping[str, Unit], what: Mapping[str, str]) -> dict[str, str]:
        count = Counter(what.values())
        return {value: key for key, value in what.items() if count[value] == 1}

    def join(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, str]:
        left, right = unique(ours, a), unique(theirs, b)
        return {left[v]: right[v] for v in left if v in right}

    def names(side: Mapping[str, Unit]) -> dict[str, str]:
        return {k: u.name for k, u in side.items() if not u.weak}

    result = [join(names(ours), names(theirs))]
    for attribute in ("upstream", "downstream"):

        def digests(side: Mapping[str, Unit], attribute: str = attribute) -> dict[str, str]:
            return {k: getattr(u.place, attribute) for k, u in side.items() if u.place}

        result.append(join(digests(ours), digests(theirs)))
    return result


def _decide(
    ours: Mapping[str, Unit],
    theirs: Mapping[str, Unit],
    address: Mapping[str, str],
    witnesses: Sequence[Mapping[str, str]],
    claimed: dict[str, str],
    evidence: dict[str, Evidence],
    doubts: dict[str, Doubt],
) -> None:
    """Names, then graph, then the only assignment left; fills the last three arguments."""
    names, upstream, downstream = witnesses
    graph: dict[str, str] = {}
    for e in {*upstream, *downstream}:
        said = {w[e] for w in (upstream, downstream) if e in w}
        if len(said) > 1:
            candidates = tuple(sorted(said))
            doubts[e] = Doubt(candidates, "what feeds it and what it feeds point to two layers")
        else:
            graph[e] = said.pop()
    rivals = Counter(graph.values())
    for e, s in graph.items():
        if rivals[s] > 1:
            doubts[e] = Doubt((s,), "its place in the graph fits more than one expected layer")
    for e in set(doubts) & set(names):
        del doubts[e]  # a name that a person gave settles what the graph leaves open
    _claim(_fitting(names, ours, theirs), "name", claimed, evidence)
    sure = {e: s for e, s in graph.items() if e not in doubts}
    _claim(_fitting(sure, ours, theirs), "graph", claimed, evidence)
    _rest(ours, theirs, address, claimed, evidence, doubts)


def _fitting(
    pairs: Mapping[str, str], ours: Mapping[str, Unit], theirs: Mapping[str, Unit]
) -> dict[str, str]:
    return {e: s for e, s in pairs.items() if fits(ours[e], theirs[s])}


def _rest(
    ours: Mapping[str, Unit],
    theirs: Mapping[str, Unit],
    address: Mapping[str, str],
    claimed: dict[str, str],
    evidence: dict[str, Evidence],
    doubts: dict[str, Doubt],
) -> None:
    """Layers that neither name nor graph decided: by bucket of class and shapes."""
    used = set(claimed.values())
    free: dict[object, list[str]] = defaultdict(list)
    for s, unit in theirs.items():
        if s not in used:
            free[unit.shapes].append(s)
    open_: dict[object, list[str]] = defaultdict(list)
    for e, unit in ours.items():
        if e not in claimed:
            open_[unit.shapes].append(e)
    for shapes, wanting in open_.items():
        offered = free.get(shapes, [])
        same = {e: address[e] for e in wanting if address.get(e) in offered}
        one = {wanting[0]: offered[0]} if len(wanting) == len(offered) == 1 else {}
        whole = len(same) == len(wanting) == len(offered) and not set(same) & set(doubts)
        if one and alike(ours[wanting[0]], theirs[offered[0]]):
            doubts.pop(wanting[0], None)
            why: Evidence = "address" if same == one else "shape"
            _claim(one, why, claimed, evidence)
        elif whole and all(alike(ours[e], theirs[s]) for e, s in same.items()):
            # Every layer of this class and these shapes is where the format puts it.
            _claim(same, "address", claimed, evidence)
        elif offered:
            reason = f"{len(offered)} stored layers fit {len(wanting)} expected ones of this shape"
            for rank, e in enumerate(wanting):
                first = min(rank, len(offered) - 1)
                likely = offered[first : first + _SHOWN] or offered[-1:]
                others = offered[max(first - _SHOWN, 0) : first]
                doubts.setdefault(e, Doubt((*likely, *others), reason))
