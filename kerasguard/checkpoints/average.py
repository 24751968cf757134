"""The mean of several checkpoints of one model, tensor by tensor ("model soups")."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerasguard.checkpoints.read import arrays_of
from kerasguard.errors import ArgumentError, CheckpointError, listed
from kerasguard.identity.evidence import given_names
from kerasguard.identity.units import units
from kerasguard.loader.arrays import Arrays
from kerasguard.loader.sources import Source
from kerasguard.tensors import LayerRecord, TensorRecord
from kerasguard.tensors.elements import Array

__all__ = ["average"]


def average(checkpoints: Sequence[Source]) -> Arrays:
    """The mean of the weights of several checkpoints of one model, for `kerasguard.load`.

    Each tensor is read, verified and averaged when it is asked for. Sums are computed in float64
    (or complex128) and rounded once to the tensor's dtype. Integers and booleans are not averaged:
    they must be equal in all checkpoints, except the state of random generators, which is taken
    from the first. Optimizer state is left out.

    Args:
        checkpoints: two or more: paths, arrays in memory, or what `kerasguard.read` gave. The
            result has the architecture of the first one, if that has one, and `load` builds it.

    Raises:
        ArgumentError: fewer than two, or something other than checkpoints.
        CheckpointError: one of them cannot be read, or they do not match: other tensors, shapes,
            dtypes or layers, or a layer that a person named under another key. At an access: that
            tensor is damaged, or its integers differ.

    Example:
        >>> model = kerasguard.load(kerasguard.average(["1.keras", "2.keras"]))  # doctest: +SKIP
    """
    if isinstance(checkpoints, (str, bytes, Mapping)) or not isinstance(checkpoints, Sequence):
        raise ArgumentError(
            f"checkpoints={checkpoints!r:.80} is not a list; pass kerasguard.average([path, path])"
        )
    if len(checkpoints) < 2:
        raise ArgumentError("averaging takes two checkpoints or more; load a single one as it is")
    with contextlib.ExitStack() as stack:
        first, *rest = (arrays_of(one, stack) for one in checkpoints)
        weights = {n: r for n, r in first.records.items() if r.role == "weight"}
        others = [(other, _matched(first, weights, other)) for other in rest]
        names = {record.key: name for name, record in weights.items()}

        def mean(record: TensorRecord) -> Array:
            values = [first[names[record.key]]]
            values += [other[matches[record.key]] for other, matches in others]
            return _mean(first.path, record, values)

        return first.made(weights, mean, stack.pop_all())
    raise AssertionError("nothing above swallows an error")


def _matched(first: Arrays, weights: Mapping[str, TensorRecord], other: Arrays) -> dict[str, str]:
    """The other's name of each weight, by its key in the first."""
    theirs = {n: r for n, r in other.records.items() if r.role == "weight"}
    by_key = {record.key: name for name, record in theirs.items()}
    if {record.key for record in weights.values()} == by_key.keys():
        pairs = {name: by_key[record.key] for name, record in weights.items()}
        named = given_names(units(first.table), units(other.table))
        for e, s in named.items():
            if e != s:
                raise _unlike(
                    first, other, f"the layer at {e} in the first checkpoint is at {s} in this one"
                )
    elif weights.keys() == theirs.keys():
        pairs = {name: name for name in weights}
    else:
        raise _unlike(first, other, _only(weights, theirs))
    for name, match in pairs.items():
        mine, its = weights[name], theirs[match]
        if mine.spec != its.spec:
            raise _unlike(first, other, f"{name} is {its.spec}, and {mine.spec} in the first")
        told = [side.layers.get(r.layer) for side, r in ((first.table, mine), (other.table, its))]
        if told[0] and told[1] and _differ(told[0], told[1]):
            raise _unlike(first, other, f"{told[1].name} has a different class or configuration")
    return {weights[name].key: match for name, match in pairs.items()}


def _only(weights: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    """What only one of two files has, in a line."""
    left, right = sorted(weights.keys() - theirs), sorted(theirs.keys() - weights)
    sides = ((left, "the first"), (right, "this one"))
    told = "; ".join(f"{listed(names)} only in {where}" for names, where in sides if names)
    return told or "the same tensors under different keys"


def _differ(one: LayerRecord, other: LayerRecord) -> bool:
    looks = ((one.class_name, other.class_name), (one.config_digest, other.config_digest))
    return any(a and b and a != b for a, b in looks)


def _unlike(first: Arrays, other: Arrays, what: str) -> CheckpointError:
    return CheckpointError(
        other.path,
        f"does not match {first.path}: {what}; only checkpoints of one model can be averaged",
    )


def _mean(path: Path, record: TensorRecord, values: Sequence[Array]) -> Array:
    first = values[0]
    kind = _kind(first)
    if kind is None:
        generator = "seed_generator" in record.key or record.variable == "seed_generator_state"
        if not generator and any(not np.array_equal(first, value) for value in values):
            raise CheckpointError(
                path,
                f"{record.label}: {record.spec} differs between the checkpoints, and integers "
                "cannot be averaged; average models before they are quantised",
            )
        return first
    total = np.zeros(first.shape, kind)
    for value in values:
        total += value.astype(kind)
    mean: Array = (total / len(values)).astype(first.dtype)
    return mean


def _kind(array: Array) -> type[np.generic] | None:
    """What sums of such elements are made in; None for what has no mean."""
    name = str(array.dtype)
    if array.dtype.kind == "c":
        return np.complex128
    return np.float64 if "float" in name else None
