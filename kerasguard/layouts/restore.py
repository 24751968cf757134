"""A whole legacy file into a model: which layer is which, and every tensor's steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasguard.findings import Finding, Severity
from kerasguard.layouts.layer import Ways, layer_ways, leaves_of
from kerasguard.layouts.leaf import Leaf
from kerasguard.layouts.origin import Ordering, Origin, layer_configs
from kerasguard.repairs import Step
from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["CODES", "restore_table"]

CODES = {
    "KG204": "a legacy layer's tensors have no layout that fits the model's layer",
    "KG205": "a legacy file's kernels fit the model in two ways",
    "KG109": "a legacy file's order and its names contradict each other",
}


@dataclass(frozen=True)
class _Group:
    """A top-level layer with weights, of either side."""

    record: LayerRecord
    tensors: tuple[TensorRecord, ...]
    leaves: tuple[Leaf, ...] = ()

    @property
    def name(self) -> str:
        return self.record.name


_Pairs = list[tuple[_Group, _Group]]


def restore_table(
    stored: Table,
    expected: Table,
    architecture: Mapping[str, Any] | None,
    writer: Mapping[str, str],
) -> list[Step | Finding]:
    """Pair a whole legacy file with a model.

    Args:
        stored: the file's table.
        expected: the model's table.
        architecture: the config that the file holds, as stored, if the model was built from it:
            then layer names are its own and the frozen layers are known. Else None.
        writer: what the file tells of its writer.

    Returns:
        A step per weight that is settled, and a finding per layer that is not. Weights that
        appear in neither have no counterpart in the file.
    """
    files, models = _stored_groups(stored), _expected_groups(expected)
    configs = {c.get("name"): {"config": c} for _, c in layer_configs(architecture)}
    best: tuple[int, list[Step | Finding]] | None = None
    for pairs in _pairings(files, models, own=architecture is not None):
        results = []
        for theirs, ours in pairs:
            origin = Origin.of(writer, configs.get(theirs.name, architecture))
            told = architecture is not None
            results.append(layer_ways(ours.leaves, theirs.tensors, origin, told=told))
        misfits = sum(not ways for ways, _ in results)
        if best is None or misfits < best[0]:
            best = misfits, _settled(pairs, results, writer)
        if misfits == 0:
            break
    return best[1] if best else []


def _stored_groups(table: Table) -> list[_Group]:
    members = table.members()
    return [
        _Group(layer, tuple(r for r in members[key] if r.role == "weight"))
        for key, layer in table.layers.items()
        if any(r.role == "weight" for r in members.get(key, ()))
    ]


def _expected_groups(table: Table) -> list[_Group]:
    """Top-level layers of a model that own weights themselves or through layers inside."""
    owned: dict[str, list[TensorRecord]] = {}
    for record in table.tensors.values():
        if record.role == "weight":
            owned.setdefault(_top(record.layer, table.layers), []).append(record)
    rank = {key: n for n, key in enumerate(table.layers)}
    groups = [
        _Group(
            table.layers.get(key) or LayerRecord(key, key.rsplit("/", 1)[-1]),
            tuple(records),
            leaves_of(records, table.layers),
        )
        for key, records in owned.items()
    ]

    def place(group: _Group) -> int:
        position = group.record.position
        return position if position >= 0 else rank.get(group.record.key, len(rank))

    return sorted(groups, key=place)


def _top(key: str, layers: Mapping[str, LayerRecord]) -> str:
    """The outermost layer around `key`."""
    parts = key.split("/")
    around = ("/".join(parts[:n]) for n in range(1, len(parts)))
    return next((k for k in around if k in layers), key)


def _pairings(files: Sequence[_Group], models: Sequence[_Group], *, own: bool) -> list[_Pairs]:
    """Ways to pair the layers, best first: by name where names are the file's own, by order."""
    named = _by_name(files, models)
    ordered = list(zip(files, models, strict=True)) if len(files) == len(models) else []
    total = len(named) == len(models)
    given = {m.name for _, m in named if not m.record.auto_named}
    contradicted = any(f.name != m.name and (m.name in given) for f, m in ordered)
    if own and total or not ordered or (contradicted and total):
        return [named, ordered] if ordered else [named]
    return [ordered, named]


def _by_name(files: Sequence[_Group], models: Sequence[_Group]) -> _Pairs:
    """Layers of equal names; characters that Keras 3 does not allow in names count as equal."""
    for spelled in (str, lambda name: re.sub(r"\W", "_", name)):
        by_name: dict[str, list[_Group]] = {}
        for group in files:
            by_name.setdefault(spelled(group.name), []).append(group)
        pairs = [
            (hits[0], model)
            for model in models
            if len(hits := by_name.get(spelled(model.name), [])) == 1
        ]
        if len(pairs) == len(models):
            break
    return pairs


def _settled(
    pairs: _Pairs, results: Sequence[tuple[Ways, bool]], writer: Mapping[str, str]
) -> list[Step | Finding]:
    """One reading of all kernels, and what remains open."""
    ordering, both = _common(ways for ways, _ in results)
    if both and writer.get("backend") != "theano":
        ordering = "tf"
    settled: list[Step | Finding] = []
    for (theirs, ours), (ways, sure) in zip(pairs, results, strict=True):
        steps = ways.get(ordering) or next(iter(ways.values()), ())
        if not steps:
            settled += _misfit(theirs, ours)
        elif sure:
            settled += steps
        else:
            settled.append(_ambiguous(theirs, ours, steps))
    if both:
        settled.append(_two_orderings(ordering))
    return settled


def _common(results: Iterable[Ways]) -> tuple[Ordering, bool]:
    """The Keras 1 ordering that all kernels allow, and whether they allow both."""
    choices = [set(ways) for ways in results if ways and "" not in ways]
    allowed = set.intersection(*choices) if choices else set()
    return ("th" if "th" in allowed else "tf"), len(allowed) > 1


def _misfit(theirs: _Group, ours: _Group) -> list[Step | Finding]:
    """Plain steps where the counts agree, so that the rules name each tensor; else a finding."""
    have, want = theirs.tensors, [r for leaf in ours.leaves for r in leaf.expected]
    if len(have) == len(want):
        return [Step(e.key, (s.key,)) for s, e in zip(have, want, strict=True)]
    listed = ", ".join(f"{r.variable}{list(r.spec.shape)}" for r in have)
    wanted = ", ".join(f"{r.variable}{list(r.spec.shape)}" for r in want)
    message = (
        f"{theirs.name}: the file holds {len(have)} tensors ({listed}), {ours.name} expects "
        f"{len(want)} ({wanted}); build the layer as it was when the file was written"
    )
    return [Finding("KG204", ours.record.key, message)]


def _ambiguous(theirs: _Group, ours: _Group, steps: tuple[Step, ...]) -> Finding:
    message = (
        f"{theirs.name}: its {len(theirs.tensors)} tensors fit {ours.name} in two orders, "
        "depending on which inner layers were frozen when it was saved; freeze them alike first"
    )
    return Finding("KG109", ours.record.key, message, Severity.ERROR, steps)


def _two_orderings(ordering: Ordering) -> Finding:
    message = (
        "the file does not tell whether its kernels have the outputs first (dim_ordering th) or "
        f"last (tf), and all of them fit both ways; read as {ordering}"
    )
    return Finding("KG205", "", message, Severity.WARNING)
