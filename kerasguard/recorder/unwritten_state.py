"""What a save keeps beside the checkpoint: the state that Keras does not write.

A checkpoint that lacks nothing gets no companion, nor does one that lacks a few bytes only, such as
seeds and metrics: those lie in the manifest.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kerasguard.errors import ModelError
from kerasguard.formats.optimizer_slots import path_in
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import companion, safetensors
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.tensors import Table, TensorRecord, TensorSpec
from kerasguard.tensors.elements import Array, bytes_of, count_nonfinite, digest

__all__ = ["Kept", "Probing", "if_the_same", "keep", "lost"]


INLINE = 1024
"""Bytes of state that go into the manifest, and make no companion."""


@dataclass(frozen=True)
class Kept:
    """What a save keeps besides the checkpoint.

    Args:
        unwritten: everything that the checkpoint lacks; what is kept has a digest, and an
            extent or its bytes.
        file: describes the companion; None where there is nothing to keep.
        content: of the companion.
    """

    unwritten: tuple[TensorRecord, ...] = ()
    file: FileRecord | None = None
    content: bytes = field(default=b"", repr=False)

    def described_in(self, manifest: Manifest) -> Manifest:
        """The manifest with what is kept."""
        features = () if self.file is None else ("companion",)
        if any(record.data is not None for record in self.unwritten):
            features = ("inline",)
        return replace(
            manifest,
            unwritten=self.unwritten,
            companion=self.file,
            requires=(*manifest.requires, *features),
        )


def keep(
    live: Any,
    checkpoint: Checkpoint,
    table: Table,
    checkpoint_id: str,
    more: Mapping[str, Array] | None = None,
) -> Kept:
    """Read from the live model what its checkpoint lacks.

    Args:
        live: the model's survey, as `keras_model.LiveModel`.
        checkpoint: that was written.
        table: its own.
        checkpoint_id: names the companion.
        more: what belongs to a probe, by key.
    """
    from kerasguard.models import assets

    hidden = _lacking(live, checkpoint, table)
    records = {item.record.key: item.record for item in hidden}
    arrays: dict[str, Array] = {}
    for item in hidden:
        if item.record.spec.dtype in safetensors.DTYPES:
            arrays[item.record.key] = item.read()
    if not checkpoint.traits.complete:
        files = assets.adapted_files(live.visits)
        if checkpoint.architecture() is None:  # else they are in the config
            files |= assets.given_files(live.visits)
        arrays |= _assets(files, records)
    for key, array in (more or {}).items():
        arrays[key] = array
        records[key] = TensorRecord(key, _spec(array), name=key, role="probe")
    return _packed(records, arrays, companion.name_of(checkpoint.path.name, checkpoint_id))


def _lacking(live: Any, checkpoint: Checkpoint, table: Table) -> list[Any]:
    """What the model has and the checkpoint's files do not, as `models.hidden.Hidden`."""
    from kerasguard.models import kerases
    from kerasguard.models import unwritten as keras_unwritten
    from kerasguard.models.kerases.backends import is_read_together

    listed = checkpoint.traits.keys == "order"
    hidden = keras_unwritten.hidden_state(
        live.model,
        live.visits,
        live.places,
        written=_written(live, checkpoint, table),
        boundaries=not checkpoint.traits.complete or kerases.of(live.model) is not kerases.KERAS3,
        variables_only=listed,
    )
    legacy = {id(v) for v in live.model.weights} if listed else set()
    hidden = [h for h in hidden if id(h.holder) not in legacy and h.known]
    hidden = [h for h in hidden if not is_read_together(h.holder)]  # this worker records alone
    hidden = [h for h in hidden if _is_missing(h.record, table)]
    return _in_files_terms(hidden, live, table) if listed else hidden


def _is_missing(record: TensorRecord, table: Table) -> bool:
    """Whether a file lacks it.

    TensorFlow's have what an optimizer of tf_keras does not list, Orbax' have seeds and metrics.
    """
    if record.key in table.tensors:
        return False
    own = (r for r in table.tensors.values() if r.role == "optimizer")
    there = {(r.layer or r.key.rpartition("/")[0], r.slot) for r in own}
    return record.role != "optimizer" or (bool(there) and (record.layer, record.slot) not in there)


def _written(live: Any, checkpoint: Checkpoint, table: Table) -> Collection[str] | None:
    """Keys of what the checkpoint holds, as the model's walk has them; None of all.

    A legacy HDF5 file has other keys, and holds the state of the compiled optimizer only.
    """
    if checkpoint.traits.keys in ("walk", "paths"):
        return table.tensors
    if checkpoint.traits.keys != "order":
        return None
    return {p.record.key for p in live.places if not _is_partial(p.record)}


def _is_partial(record: TensorRecord) -> bool:
    """Whether it is the state of an optimizer other than the compiled one."""
    return record.role == "optimizer" and record.layer.partition("/")[0] != "optimizer"


def _in_files_terms(hidden: Sequence[Any], live: Any, table: Table) -> list[Any]:
    """State of optimizers with the weights as the file's keys name them.

    Walks lead to another weight once a layer is inserted; the file's weights are paired first, so
    their keys stay true. An optimizer is left out where the file does not have one of its weights
    under a key of its own.
    """
    from kerasguard.models import kerases

    stored: dict[str, list[str]] = {}
    for key in table.tensors:  # `model_weights/<layer>/<path of the variable>`
        stored.setdefault(path_in(key), []).append(key)
    keras = kerases.of(live.model)
    paths = {p.record.key: keras.path(p.variable) for p in live.places if p.variable is not None}
    known = {key: stored.get(path, []) for key, path in paths.items()}
    found, unknown = [], set()
    for held in hidden:
        weight = held.record.slot_of
        if weight and _is_partial(held.record):
            if len(known.get(weight, ())) != 1:
                unknown.add(held.record.layer)
                continue
            held = replace(held, record=replace(held.record, slot_of=known[weight][0]))
        found.append(held)
    return [h for h in found if not (_is_partial(h.record) and h.record.layer in unknown)]


def _assets(files: Mapping[str, bytes], records: dict[str, TensorRecord]) -> dict[str, Array]:
    """Files of layers as tensors of bytes; adds their records."""
    arrays: dict[str, Array] = {}
    for path, content in files.items():
        key = f"assets/{path}"
        arrays[key] = np.frombuffer(content, np.uint8)
        layer = path.rpartition("/")[0]
        records[key] = TensorRecord(key, _spec(arrays[key]), name=path, layer=layer, role="asset")
    return arrays


def _packed(records: Mapping[str, TensorRecord], arrays: Mapping[str, Array], name: str) -> Kept:
    if not arrays:
        return Kept(tuple(records.values()))
    known = {key: _surveyed(records[key], array) for key, array in arrays.items()}
    if sum(array.nbytes for array in arrays.values()) <= INLINE:
        held = {key: replace(known[key], data=bytes_of(arrays[key])) for key in known}
        return Kept(tuple({**records, **held}.values()))
    content, extents = safetensors.pack(arrays, name)
    packed = {key: replace(known[key], extent=extents[key]) for key in known}
    return Kept(tuple({**records, **packed}.values()), companion.described(name, content), content)


def _surveyed(record: TensorRecord, array: Array) -> TensorRecord:
    return replace(
        record, spec=_spec(array), digest=digest(array), nonfinite=count_nonfinite(array)
    )


def _spec(array: Array) -> TensorSpec:
    return TensorSpec(tuple(array.shape), array.dtype.name)


def lost(records: Iterable[TensorRecord]) -> list[str]:
    """Labels of what a checkpoint lacks and its companion does not have either.

    Seeds and metrics are not among them: a model does without.
    """
    return [r.label for r in records if r.digest is None and r.role in ("weight", "state")]


@dataclass(frozen=True)
class Probing:
    """What was asked for as `probe=`, and whether it has to work."""

    wanted: Any
    strict: bool

    def made(
        self, live: Any, table: Table, *, saved: bool
    ) -> tuple[dict[str, Any] | None, dict[str, Array]]:
        """The manifest's probe and its arrays; None where none is wanted or can be made."""
        if self.wanted is None or self.wanted is False:
            return None, {}
        from kerasguard.models import live_probe

        try:
            moved = [] if saved else live.strangers({r.digest for r in table.tensors.values()})
            if moved:
                raise ModelError(
                    f"the model has changed since it was saved ({moved[0]} is not in the "
                    "checkpoint as it is now), so no probe can be made; record it after it is saved"
                )
            return live_probe.make(live.model, self.wanted)
        except ModelError as error:
            if self.strict:
                raise
            warnings.warn(f"recorded without a probe: {error}", UserWarning, stacklevel=6)
            return None, {}


def if_the_same(live: Any, table: Table, kept: Kept) -> Kept:
    """What is kept, unless the model has moved on since it was saved."""
    moved = live.strangers({record.digest for record in table.tensors.values()})
    if not moved:
        return kept
    warnings.warn(
        f"the model has changed since it was saved ({moved[0]} is not in the checkpoint as it is "
        "now), so what Keras did not write is not kept; record a model right after it is saved",
        UserWarning,
        stacklevel=5,
    )
    return Kept(tuple(replace(r, digest=None, extent=None, data=None) for r in kept.unwritten))
