"""Whether a checkpoint that was written just now holds what its model holds.

HDF5 goes on after a write that failed, so a save can return and leave zeros in the file. Digests
are compared, and nothing is copied: the survey has those of the file, and the model's values are
digested where they lie.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from kerasguard.errors import BadWriteError, CheckpointError, ModelError, listed
from kerasguard.identity.held import held_alone
from kerasguard.manifest import Manifest
from kerasguard.storage import sidecar
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.storage.commit import Stage
from kerasguard.storage.one_pass import Digests, read_once
from kerasguard.tensors import Table, TensorRecord
from kerasguard.tensors.elements import Array, count_nonfinite, digest, numpy_dtype

__all__ = ["compare", "digested", "graph_of", "surveyed"]


def surveyed(
    stage: Stage, survey: Callable[[Any], tuple[Manifest, bytes]], *, again: bool = True
) -> tuple[Manifest, bytes]:
    """What `survey` returns of the staged checkpoint, which is written anew if it is bad.

    Args:
        stage: holds what was written.
        survey: reads and describes it.
        again: whether it can be written anew; not so by one of several workers alone.

    Raises:
        BadWriteError: it was bad both times.
        KerasguardError: it cannot be recorded for a reason that is not a bad write.
    """
    try:
        return survey(stage.checkpoint)
    except CheckpointError as error:
        if not again:
            raise
        first = error
    stage.write_again()
    try:
        return survey(stage.checkpoint)
    except BadWriteError as second:
        known = getattr(first, "held", {})
        if any(known.get(label, digest) != digest for label, digest in second.held.items()):
            raise ModelError("the model changes while it is being saved") from None
        raise
    except CheckpointError as second:
        if sidecar.place_of(stage.given).exists():  # a recorded pair is not given up for it
            raise BadWriteError(stage.path, f"cannot be read back: {second}") from second
        raise


def compare(live: Any, checkpoint: Checkpoint, stored: Table) -> None:
    """Raise BadWriteError where a checkpoint does not hold its model's tensors as they are.

    Args:
        live: the model's survey, as `live_model.LiveModel`.
        checkpoint: that was written just now.
        stored: its table, with digests.
    """
    odd = _differing(live, checkpoint, stored)
    if odd:
        what = f"the file does not hold {listed([*odd], 5)} as the model does"
        raise BadWriteError(checkpoint.path, f"{what}; check the disk and save again", odd)


def _differing(live: Any, checkpoint: Checkpoint, stored: Table) -> dict[str, str]:
    """By label, the digests of what a model holds and its checkpoint does not."""
    with_optimizer = any(record.role == "optimizer" for record in stored.tensors.values())
    if checkpoint.traits.keys in ("walk", "paths"):
        return dict(_by_key(live, checkpoint, stored, with_optimizer=with_optimizer))
    if checkpoint.traits.keys == "order":
        return dict(_by_value(live.model, stored, with_optimizer=with_optimizer))
    return {}  # TensorFlow raises where it cannot write


def _by_key(
    live: Any, checkpoint: Checkpoint, stored: Table, *, with_optimizer: bool
) -> Iterator[tuple[str, str]]:
    """What has another value under its key, or is not there.

    A layer of which nothing was written was left out by whoever saved (`objects_to_skip` of
    Keras); the manifest does not have it either, and a load names it. What several workers would
    have to read together is not compared: this one records alone.
    """
    from kerasguard.models.kerases.backends import is_read_together
    from kerasguard.models.variables import held

    written = {_holder(key) for key in stored.tensors}
    for place in live.places:
        if place.record.role == "optimizer" and not with_optimizer:
            continue
        found = stored.tensors.get(place.record.key)
        if found is None and _holder(place.record.key) not in written:
            continue
        if found is not None and is_read_together(place.value):
            continue
        if found is not None and place.record.boxes:
            yield from _of_boxes(place.record, checkpoint.read(found.own_key))
            continue
        mine = _digest_as(found, held(place.value))
        if found is None or mine != found.digest:
            yield place.record.label, mine


def _of_boxes(held: TensorRecord, stored: Array) -> Iterator[tuple[str, str]]:
    """What was spread over devices is compared with what each of them held, and not gathered."""
    apart = [b for b in held.boxes if digest(np.ascontiguousarray(stored[b.slices])) != b.digest]
    if apart or sum(math.prod(b.shape) for b in held.boxes) != held.spec.size:
        yield held.label, apart[0].digest if apart else ""


def _holder(key: str) -> str:
    """What holds a tensor in the file: of `layers/dense/vars/0`, `layers/dense`."""
    return key.rpartition("/vars/")[0]


def _by_value(model: Any, stored: Table, *, with_optimizer: bool) -> Iterator[tuple[str, str]]:
    """What the file holds less often than the model, where its keys are not the model's."""
    from kerasguard.models.kerases import KERAS3, of, variables_of
    from kerasguard.models.kerases.backends import is_read_together
    from kerasguard.models.variables import held

    left = Counter(record.digest for record in stored.tensors.values())
    own = {
        id(v)
        for metric in (model.metrics if of(model) is not KERAS3 else ())
        for v in metric.variables
    }
    weights = [w for w in model.weights if hasattr(w, "assign") and id(w) not in own]
    for variable in (*weights, *(variables_of(model.optimizer) if with_optimizer else ())):
        if is_read_together(variable):
            continue
        found = digest(held(variable))
        if left[found] < 1:
            yield of(model).path(variable), found
        left[found] -= 1


def _digest_as(stored: TensorRecord | None, array: Any) -> str:
    """Digest of a model's value in the form in which the file holds it."""
    wanted = numpy_dtype(stored.spec.dtype) if stored is not None else array.dtype
    return digest(array if array.dtype == wanted else array.astype(wanted))


def digested(checkpoint: Checkpoint, *, sha256: bool = True) -> tuple[Table, Digests]:
    """A checkpoint's table with the digests of what lies on the disk, and those of its files.

    Keeps no tensor.

    Args:
        checkpoint: opened.
        sha256: whether its files get one, which takes longer than all the rest.
    """
    stored = checkpoint.table()
    digests = read_once(checkpoint.files(), stored, sha256=sha256)
    tensors: dict[str, TensorRecord] = {}
    for key, found in stored.tensors.items():
        if key in digests.tensors:
            load = digests.tensors[key]
            tensors[key] = replace(found, digest=load.digest, nonfinite=load.nonfinite)
        else:
            array = checkpoint.read(key)
            tensors[key] = replace(found, digest=digest(array), nonfinite=count_nonfinite(array))
    return Table(tensors, stored.layers, stored.addressing), digests


def graph_of(live: Table, stored: Table, *, spelled_out: bool) -> Table:
    """The table that tells of the layers: the model's where the keys are the same.

    Else the file's, with the model's layers by their paths where code of the user's own holds some,
    of which no config tells.
    """
    if any(key in live.tensors for key in stored.tensors):
        return live
    if not spelled_out or not any(map(held_alone, live.layers.values())):
        return stored
    layers = {k: r for k, r in live.layers.items() if r.use is not None and k not in stored.layers}
    return replace(stored, layers={**stored.layers, **layers}, ends=live.ends, use=live.use)
