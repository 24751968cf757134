"""Optimizer state whose slots are named: each slot of each variable to itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kerasguard.tensors import TensorRecord, auto_named

__all__ = ["by_slot"]


def by_slot(
    mine: list[TensorRecord], other: list[TensorRecord], weights: Callable[[str], str]
) -> tuple[dict[str, str], str, frozenset[str]]:
    """All slots of a variable or none of them; what the checkpoint keeps beyond them is left.

    A variable that the checkpoint has no state for did not train when it was saved. One with some
    of the slots was trained by an optimizer with other settings, whose state means something else.
    """
    kinds = [{r.slot or r.variable for r in side if r.slot_of} for side in (mine, other)]
    if kinds[0] and not kinds[0] & kinds[1]:
        return {}, _lacks(min(kinds[0])), frozenset()
    pairs: dict[str, str] = {}
    resized: set[str] = set()
    groups = _by_weight(mine)
    sources = _stateful(groups, other, weights)
    for weight, source in sources.items():
        records = groups[weight]
        matches = _matches(records, other, source)
        lacking = [r for r in records if r.key not in matches and not _may_lack(r)]
        if lacking:
            return {}, _lacks(lacking[0].label), frozenset()
        paired = [(r, matches[r.key]) for r in records if r.key in matches]
        if any(r.spec.shape != s.spec.shape for r, s in paired):
            resized |= {r.key for r in records}
        else:
            pairs |= {r.key: s.key for r, s in paired}
    if kinds[0] and not any(sources):
        return {}, "it belongs to variables that are not trainable in the model", frozenset()
    return pairs, "", frozenset(resized)


def _stateful(
    mine: Mapping[str, object], other: Sequence[TensorRecord], weights: Callable[[str], str]
) -> dict[str, str]:
    """By variable of the model, the stored one whose state it gets; "" keeps what is nobody's."""
    there = {s.slot_of for s in other if s.slot_of}
    found = {weight: weights(weight) if weight else "" for weight in mine}
    return {weight: source for weight, source in found.items() if not weight or source in there}


def _matches(
    records: Sequence[TensorRecord], other: Sequence[TensorRecord], source: str
) -> dict[str, TensorRecord]:
    """The stored tensor of each slot of one variable; of no variable, also what has no name.

    Args:
        records: the model's slots of it.
        other: all stored ones.
        source: key of the stored variable; empty for what belongs to none.
    """
    found = {s.slot or s.variable: s for s in other if s.slot_of == source}
    matches = {r.key: found[name] for r in records if (name := r.slot or r.variable) in found}
    if not source:
        matches |= _nameless(records, [s for s in other if not s.slot_of], matches)
    return matches


def _nameless(
    mine: Sequence[TensorRecord],
    other: Sequence[TensorRecord],
    matches: Mapping[str, TensorRecord],
) -> dict[str, TensorRecord]:
    """The tensors of no weight that no name finds, in order: HDF5 has what Keras had to name."""
    left = [r for r in mine if r.key not in matches and r.variable != "learning_rate"]
    taken = {match.key for match in matches.values()}
    rest = [s for s in other if s.key not in taken and auto_named(s.variable, "variable")]
    same = [r.spec.shape for r in left] == [s.spec.shape for s in rest]
    return {r.key: s for r, s in zip(left, rest, strict=True)} if same else {}


def _lacks(label: str) -> str:
    return f"the checkpoint has no {label}; it holds another optimizer's slots"


def _by_weight(records: Sequence[TensorRecord]) -> dict[str, list[TensorRecord]]:
    groups: dict[str, list[TensorRecord]] = {}
    for record in records:
        groups.setdefault(record.slot_of, []).append(record)
    return groups


def _may_lack(record: TensorRecord) -> bool:
    """The rate: before Keras 3 it was part of the config only, which compiled the model."""
    return not record.slot_of and record.variable == "learning_rate"
