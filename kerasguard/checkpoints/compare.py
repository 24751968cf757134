"""What differs between two checkpoints, and by how much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasguard.arguments import check_source
from kerasguard.checkpoints import difference
from kerasguard.checkpoints.difference import Change
from kerasguard.checkpoints.distances import LayerDistance, distances
from kerasguard.loader.reading import Reading
from kerasguard.loader.sources import Source, at_hand
from kerasguard.report import counted

__all__ = ["compare", "measure"]


def compare(first: Source, second: Source) -> tuple[Change, ...]:
    """All differences between two checkpoints of any format; imports no framework.

    A layer's counterpart is found by its user-given name; otherwise a tensor's is found by key,
    then name, then bytes, so that renamed and moved tensors are recognised. Where values differ,
    `Change.distance` and `Change.largest` give the amount.

    Args:
        first: a path, an address in MLflow or elsewhere, bytes, what `kerasguard.read` or `average`
            gave, or arrays in memory by the path of their variable.
        second: likewise.

    Raises:
        ArgumentError: one of them is not a checkpoint; nothing was opened.
        CheckpointError: one of them cannot be read.
    """
    return measure(first, second)[0]


def measure(first: Source, second: Source) -> tuple[tuple[Change, ...], list[LayerDistance]]:
    """The differences, and how far each layer with weights that changed is from itself.

    Args:
        first: as for `compare`.
        second: likewise.

    Raises:
        ArgumentError, CheckpointError: as `compare`.
    """
    for one in (first, second):
        check_source(one)
    with (
        at_hand(first) as (here, mine),
        at_hand(second) as (there, other),
        Reading(here, mine, keep=False) as left,
        Reading(there, other, keep=False) as right,
    ):
        ours, theirs = left.finish(), right.finish()
        changes = difference.compare(ours, theirs)
        layers = distances(
            difference.counterparts(ours, theirs),
            lambda record: left.value(record.key),
            lambda record: right.value(record.key),
        )
        return tuple(_measured(change, left, right) for change in changes), layers


def _measured(change: Change, left: Reading, right: Reading) -> Change:
    if change.kind != "values":
        return change
    one, other = left.value(change.first), right.value(change.second)
    if one.dtype.kind in "OSU" or other.dtype.kind in "OSU":
        return change
    kind = np.complex128 if one.dtype.kind == "c" else np.float64
    before, after = one.astype(kind), other.astype(kind)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(after - before)
        norm, distance = float(np.linalg.norm(before)), float(np.linalg.norm(apart))
    known = apart[np.isfinite(apart)]
    largest = float(known.max(initial=0.0))
    lost = apart.size - known.size
    size = f"{distance / norm:.2%} of its norm" if 0 < norm < np.inf else f"{distance:.3g}"
    what = f"changed by {size}, no element by more than {largest:.3g}"
    if lost:
        what = (
            f"{counted(lost, 'element')} became or {'was' if lost == 1 else 'were'} NaN or "
            f"infinite; no other element by more than {largest:.3g}"
        )
        return replace(change, what=what, largest=largest)
    relative = distance / norm if norm else None
    return replace(change, what=what, distance=relative, largest=largest)
