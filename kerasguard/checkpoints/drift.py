"""How far each layer of a run moved from one checkpoint to the next."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from kerasguard.arguments import check_path
from kerasguard.checkpoints import inspect
from kerasguard.checkpoints.difference import counterparts
from kerasguard.checkpoints.distances import LayerDistance, distances
from kerasguard.checkpoints.epochs import told_epoch
from kerasguard.checkpoints.read import read
from kerasguard.checkpoints.scan import places
from kerasguard.errors import ArgumentError, CheckpointNotFoundError, KerasguardError
from kerasguard.formats import met
from kerasguard.loader.arrays import Arrays
from kerasguard.loader.sources import PathLike
from kerasguard.report.drift import DriftReport, Saved
from kerasguard.storage import durable, sidecar
from kerasguard.storage.remote import local_path
from kerasguard.tensors import TensorRecord
from kerasguard.tensors.elements import Array

__all__ = ["drift"]

_NUMBERS = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def drift(run: PathLike | Sequence[PathLike]) -> DriftReport:
    """How far each layer moved from checkpoint to checkpoint; imports no framework.

    Drift is the norm of the change of a layer's weights, taken as one vector, relative to their
    previous norm. Checkpoints are verified; a damaged one is named and left out. Two tensors, one
    of each checkpoint, are in memory at a time.

    Args:
        run: a folder, whose largest series of checkpoints with names that differ only in
            numbers is used (`{epoch:02d}-{val_loss:.2f}.keras`); or checkpoints in their order.

    Returns:
        A report with `layers`, `rows()`, a page (`html`) and `plot_drift()`.

    Raises:
        ArgumentError: `run` is neither.
        NotADirectoryError: there is no such folder.
        CheckpointNotFoundError: there is no checkpoint in it.

    Example:
        >>> print(kerasguard.drift("run"))  # doctest: +SKIP
        run: 2 checkpoints, 2 as recorded, all weights finite
          hidden: moved by 1.33%
    """
    if isinstance(run, (str, os.PathLike)):
        check_path("run", run)
        series, others = _series(local_path(run))
    elif isinstance(run, Sequence) and run and not isinstance(run, bytes):
        for one in run:
            check_path("run", one)
        series, others = [local_path(one) for one in run], []
    else:
        raise ArgumentError(f"run={run!r:.80} is neither a folder nor a list of checkpoints")
    saved = tuple(_saved(place) for place in series)
    usable = [Path(one.path) for one in saved if one.usable]
    steps = [_step(one, other) for one, other in pairwise(usable)]
    name = str(run) if isinstance(run, (str, os.PathLike)) else str(series[0].parent)
    return DriftReport(name, saved, *_by_layer(steps), tuple(map(str, others)))


def _series(root: Path) -> tuple[list[Path], list[Path]]:
    """The run's checkpoints in the order of training, and all others."""
    if not durable.is_folder(root):
        raise NotADirectoryError(f"{root}: no such folder; name one with the checkpoints of a run")
    groups: dict[tuple[Path, str], list[Path]] = {}
    for place, _ in places(root):
        if met(place):
            key = place.parent, _NUMBERS.sub("#", place.name)
            groups.setdefault(key, []).append(place)
    if not groups:
        raise CheckpointNotFoundError(root, "there is no checkpoint in this folder")
    series = max(groups.values(), key=len)
    others = [place for group in groups.values() if group is not series for place in group]
    return sorted(series, key=_order), others


def _order(place: Path) -> tuple[float, list[float], str]:
    """The epoch, where something tells it, then the numbers in the name."""
    epoch = _epochs(place)[0]
    numbers = [float(number) for number in _NUMBERS.findall(place.name)]
    return math.inf if epoch is None else epoch, numbers, place.name


def _epochs(place: Path) -> tuple[int | None, Mapping[str, Any]]:
    """Epochs of training behind a checkpoint, and the metrics of then."""
    try:
        manifest = sidecar.read(place)
    except KerasguardError:
        manifest = None
    metrics = manifest.training.get("metrics") if manifest is not None else None
    return told_epoch(place, manifest)[0], metrics if isinstance(metrics, Mapping) else {}


def _saved(place: Path) -> Saved:
    epochs, told = _epochs(place)
    metrics = {k: float(v) for k, v in told.items() if isinstance(v, (int, float))}
    try:
        report = inspect.verify(place)
    except (KerasguardError, OSError) as error:
        return Saved(str(place), epochs, "unreadable", str(error), metrics)
    if not report.ok:
        why = "; ".join(str(finding) for finding in report.unresolved[:3])
        return Saved(str(place), epochs, "differs", why, metrics)
    state = "intact" if report.origin == "recorded" else "unrecorded"
    return Saved(str(place), epochs, state, metrics=metrics)


def _step(one: Path, other: Path) -> list[LayerDistance]:
    with read(one) as left, read(other) as right:
        pairs = counterparts(left.table, right.table)
        return distances(pairs, _reader(left), _reader(right), all_layers=True)


def _reader(arrays: Arrays) -> Any:
    names = {record.key: name for name, record in arrays.records.items()}

    def read_one(record: TensorRecord) -> Array:
        return arrays[names[record.key]]

    return read_one


def _by_layer(
    steps: Sequence[Sequence[LayerDistance]],
) -> tuple[dict[str, tuple[float | None, ...]], dict[str, tuple[float | None, ...]]]:
    """Drift and norms by layer; a layer that is not in a step has None there."""
    names = dict.fromkeys(layer.layer for step in steps for layer in step)
    known = [{layer.layer: layer for layer in step} for step in steps]
    drifts, norms = {}, {}
    for name in names:
        row = [step.get(name) for step in known]
        drifts[name] = tuple(None if one is None else _drift(one) for one in row)
        first = row[0].norm if row[0] is not None else None
        norms[name] = (first, *(None if one is None else one.other for one in row))
    return drifts, norms


def _drift(layer: LayerDistance) -> float | None:
    finite = layer.norm is not None and layer.other is not None
    return layer.distance if finite else math.inf
