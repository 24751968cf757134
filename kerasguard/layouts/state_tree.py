"""The state tree of a model, in the keys by which Keras 3 walks the model.

A tree calls a variable by its path: the names that were open when its layer was built, and a number
where the process had made others of the kind before. A model that is made from the same config has
the same layers under the same names, within more or fewer names, and other numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kerasguard.tensors import Table, TensorRecord

__all__ = ["as_walked"]

Paths = Mapping[tuple[str, str], list[TensorRecord]]


def as_walked(stored: Table, paths: Paths, *, same: bool) -> Table | None:
    """The tree's tensors under the keys of a model's walk; `stored_as` has the tree's own.

    Args:
        stored: of the tree.
        paths: of the model that it was saved from, or of one made from its config: records by role
            and path.
        same: whether it is the very model that was saved, whose paths are the tree's.

    Returns:
        None where some weight of the tree has no place in the model, or not one alone. What belongs
        to no weight (seeds, metrics) and is not found keeps its key.
    """
    found: dict[str, TensorRecord] = {}
    walked: dict[str, str] = {}
    for role in ("weight", "metric", *(("optimizer",) if same else ())):
        theirs = {r.name: r for r in stored.tensors.values() if _kind(r) == role}
        ours = {path: records for (kind, path), records in paths.items() if kind == role}
        pairs = _paired(theirs, ours, same=same or role == "metric")  # whose names people give
        for name, path in pairs.items():
            record = theirs[name]
            for mine in ours[path]:
                found[mine.key] = mine.holding(record, record.key)
            walked[record.key] = ours[path][0].key
    missing = [r for r in stored.tensors.values() if r.role == "weight" and r.key not in walked]
    if missing:
        return None
    for key, record in stored.tensors.items():
        if key not in walked:
            of = walked.get(record.slot_of, "") if record.slot_of else ""
            found[key] = replace(record, slot_of=of)
    return replace(stored, tensors=found, addressing="key")


def _kind(record: TensorRecord) -> str:
    return record.role if record.role in ("optimizer", "metric") else "weight"


def _paired(
    theirs: Mapping[str, TensorRecord], ours: Mapping[str, list[TensorRecord]], *, same: bool
) -> dict[str, str]:
    """The model's path by the tree's.

    Of a model that was made from the config, one way of naming has to give every weight of both
    its own: paths that agree here and there say nothing, since a process goes on counting.
    """
    if same:
        return {n: n for n, r in theirs.items() if n in ours and _fits(r, ours[n])}
    mine = [path for path, records in ours.items() if records[0].role != "seed"]
    weights = [name for name, record in theirs.items() if record.role != "seed"]
    pairs: dict[str, str] = {}
    for way in (_as_they_are, _by_ends, _by_rank):
        found = way(weights, mine)
        if len(found) == len(weights) and all(_fits(theirs[n], ours[p]) for n, p in found.items()):
            pairs = found
            break
    # Several seeds are numbered as they were made, which no config tells.
    seeds = [n for n in theirs if n not in weights], [p for p in ours if p not in mine]
    return pairs | (dict(zip(*seeds, strict=True)) if len(seeds[0]) == len(seeds[1]) == 1 else {})


def _as_they_are(theirs: Sequence[str], ours: Sequence[str]) -> dict[str, str]:
    return {name: name for name in theirs if name in ours}


def _by_ends(theirs: Sequence[str], ours: Sequence[str]) -> dict[str, str]:
    """Where one is the end of the other, and of no other."""
    found = {}
    for name in theirs:
        ends = _same_end(name, ours)
        if len(ends) == 1 and len(_same_end(ends[0], theirs)) == 1:
            found[name] = ends[0]
    return found


def _by_rank(theirs: Sequence[str], ours: Sequence[str]) -> dict[str, str]:
    """With numbers counted anew: the same code makes the same objects in the same order."""
    left, right = _counted(theirs), _counted(ours)
    ends = _by_ends(list(left), list(right))
    return {left[name]: right[path] for name, path in ends.items()}


def _counted(paths: Sequence[str]) -> dict[str, str]:
    """The paths by themselves, each part with its rank among those of its stem and its place."""
    numbers: dict[tuple[tuple[str, ...], str], set[int]] = {}
    split = {path: [_numbered(part) for part in path.split("/")] for path in paths}
    for parts in split.values():
        for depth, (stem, number) in enumerate(parts):
            numbers.setdefault((_above(parts, depth), stem), set()).add(number)
    ranks = {key: sorted(found) for key, found in numbers.items()}
    return {
        "/".join(
            f"{stem}_{ranks[_above(parts, depth), stem].index(number)}"
            for depth, (stem, number) in enumerate(parts)
        ): path
        for path, parts in split.items()
    }


def _above(parts: Sequence[tuple[str, int]], depth: int) -> tuple[str, ...]:
    return tuple(f"{stem}_{number}" for stem, number in parts[:depth])


def _numbered(part: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)_([0-9]{1,9})", part)
    return (match[1], int(match[2])) if match else (part, 0)


def _same_end(name: str, others: Iterable[str]) -> list[str]:
    return [o for o in others if f"/{o}".endswith(f"/{name}") or f"/{name}".endswith(f"/{o}")]


def _fits(stored: TensorRecord, ours: Sequence[TensorRecord]) -> bool:
    return all(record.spec.shape == stored.spec.shape for record in ours)
