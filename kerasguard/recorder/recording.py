"""The save pipeline: Keras writes, the bytes on disk are surveyed, checkpoint and manifest commit.

The survey reads what Keras wrote and compares it with what the model holds: a bad write is noticed
while the previous checkpoint still lies there. The write is then tried once more, and if that is no
better the save fails and the previous checkpoint stays.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from kerasguard.arguments import check_flag, check_model, check_path, check_probe
from kerasguard.errors import ArgumentError, BadWriteError, CheckpointError, KerasguardError
from kerasguard.formats import open_checkpoint
from kerasguard.manifest import Manifest
from kerasguard.recorder import elsewhere, notices, spread, workers
from kerasguard.recorder.as_written import compare, digested, graph_of, surveyed
from kerasguard.recorder.of_file import check_of_file
from kerasguard.recorder.unwritten_state import Probing, if_the_same, keep
from kerasguard.recorder.writer_versions import writer_versions
from kerasguard.storage import companion, durable, sidecar
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.storage.commit import staged
from kerasguard.storage.one_pass import file_records
from kerasguard.storage.remote import is_remote, local_path
from kerasguard.tensors import TensorRecord

__all__ = ["Recorded", "record", "save", "survey_checkpoint"]


@dataclass(frozen=True)
class Recorded:
    """What an observer is told after a save: where the checkpoint lies and its manifest."""

    path: Path
    manifest: Manifest


Observer = Callable[[Recorded], object]


def save(
    write: Callable[[Path], Any],
    path: Path,
    model: Any,
    *,
    training: Callable[[], Mapping[str, Any]] | None = None,
    observers: Iterable[Observer] = (),
    strict: bool = False,
    probe: Any = False,
    sha256: bool = True,
) -> Any:
    """Let `write` save `model` to `path`, so that checkpoint and manifest appear together.

    If recording fails the save still happens, with a warning (an exception with `strict`).

    Args:
        write: Keras' own save, told where to write.
        path: where the user wants the checkpoint.
        model: that is saved.
        training: epoch, step and metrics, asked for after the write.
        observers: told about the manifest after the commit.
        strict: raise what recording raises.
        probe: as for `record`; where it cannot be made there is a warning.
        sha256: as for `record`.

    Returns:
        What `write` returned.
    """
    with staged(path) as stage:
        result = stage.write(write)
        if stage.checkpoint is None:
            return result
        manifest, kept = None, b""
        try:
            told = training() if training else {}
            more = {"training": told, "previous": path, "probe": probe, "strict": strict}
            survey = partial(survey_checkpoint, model=model, sha256=sha256, **more)
            manifest, kept = surveyed(stage, survey, again=not workers.together(model))
        except Exception as error:
            if strict or isinstance(error, BadWriteError):
                raise
            warnings.warn(f"{path}: saved, but not recorded: {error}", UserWarning, stacklevel=4)
        stage.commit(manifest, kept)
    if manifest is not None and stage.recorded:
        notices.warn_of(stage.given, manifest)
        notify(observers, Recorded(stage.given, manifest))
    return result


def notify(observers: Iterable[Observer], recorded: Recorded) -> None:
    """Tell every observer; none of them may disturb a save that has happened."""
    for observer in observers:
        try:
            observer(recorded)
        except Exception as error:  # noqa: BLE001  # an observer is foreign code
            warnings.warn(
                f"{recorded.path}: saved and recorded, but an observer failed: {error}",
                UserWarning,
                stacklevel=2,
            )


def record(path: Any, model: Any = None, *, probe: Any = False, sha256: bool = True) -> Manifest:
    """Write a manifest for a checkpoint that exists.

    Several workers may all call it for the same path: then the chief's manifest is written, and
    the others only return theirs. A file of its own is recorded by each.

    Args:
        path: of the checkpoint; at an address, manifest and companion are sent there.
        model: the model that it was saved from; adds the names of its variables, and keeps what
            Keras did not write. Without it, the manifest holds only what the checkpoint itself
            says.
        probe: True to record what the model computes from a seeded input, so that a load can check
            that it still does; `"layers"` to summarise each layer's output too, so that the first
            one that differs is named; or the input itself, as the model takes it.
        sha256: False to leave out the files' SHA-256, which costs more than all else. Every load
            compares xxh3 digests of all bytes, which find any accident; but against somebody who
            changes a file on purpose (`digest=`, `verify(sha256=True)`) only SHA-256 helps.

    Returns:
        The manifest, which is now beside the checkpoint, unless the chief's is.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ModelError: the checkpoint's shapes or names are not those of the model, which cannot be
            the one that was saved; or it cannot be probed, or has changed since.
    """
    check_path("path", path)
    check_model(model)
    check_probe(probe, inputs=True)
    check_flag("sha256", sha256)
    if probe is not False and model is None:
        raise ArgumentError("probe= needs the model: kerasguard.record(path, model, probe=...)")
    if is_remote(path):
        url = str(path)
        with elsewhere.brought_here(url, elsewhere.files_at(url)) as (place, give_back):
            manifest = record(place, model, probe=probe, sha256=sha256)
            if model is None or workers.is_chief(model):
                give_back()
            return manifest
    target = local_path(path)
    leads = model is None or workers.is_chief(model)
    if model is not None and leads:
        workers.announce(model, target)
    before = durable.signature(target)
    options: dict[str, Any] = {"probe": probe, "strict": True, "sha256": sha256}
    manifest, kept = survey_checkpoint(
        target, model, training={}, previous=target, saved=False, **options
    )
    if not leads and workers.is_chiefs(model, target):
        return manifest
    with durable.locked(target.resolve().parent):
        if durable.signature(target) != before:
            raise CheckpointError(
                target, "was replaced while it was being recorded; record it again"
            )
        companion.write(target, manifest, kept)
        sidecar.write(target, manifest)
        companion.retire(target, manifest)
    notices.warn_of(target, manifest)
    return manifest


def survey_checkpoint(
    path: Path,
    model: Any,
    *,
    training: Mapping[str, Any],
    previous: Path,
    saved: bool = True,
    probe: Any = False,
    strict: bool = True,
    sha256: bool = True,
) -> tuple[Manifest, bytes]:
    """Read a checkpoint's bytes from disk and describe them; writes nothing.

    Args:
        path: of the checkpoint.
        model: it was saved from; None where it is not at hand.
        training: epoch, step and metrics.
        previous: where the checkpoint of before lies.
        saved: whether the model was saved just now; else what it holds is compared first.
        probe: as for `record`.
        strict: raise where no probe can be made, instead of a warning.
        sha256: as for `record`.

    Returns:
        The manifest, and the content of the companion, empty where there is nothing to keep.
    """
    with open_checkpoint(path) as checkpoint:
        (table, digests), kept = digested(checkpoint, sha256=sha256), b""
        manifest = Manifest(
            format=checkpoint.name,
            files=(),
            table=table,
            versions=writer_versions(checkpoint.writer(), model),
            training=dict(training),
            checkpoint_id=secrets.token_hex(16),
            previous_id=_previous_id(previous),
            requires=() if sha256 else ("without-sha256",),
        )
        if model is not None:
            probing = Probing(probe, strict)
            manifest, kept = _with_model(manifest, checkpoint, model, probing, saved=saved)
        return replace(manifest, files=file_records(checkpoint, digests)), kept


def _with_model(
    manifest: Manifest,
    checkpoint: Checkpoint,
    model: Any,
    probe: Probing,
    *,
    saved: bool,
) -> tuple[Manifest, bytes]:
    """Add what only the live model knows: names, graph, environment, what Keras did not write."""
    from kerasguard.models import environment, in_file, live_model, optimizer_configs

    live = live_model.LiveModel.of(model, checkpoint.traits.keys)
    table = in_file.as_named(live, manifest.table, checkpoint.traits.keys)
    filed = in_file.as_in_file(live, table)
    if saved and checkpoint.traits.scattered:
        filed = spread.with_boxes(filed, checkpoint.path)
    known = filed.table
    if saved:
        compare(filed, checkpoint, table)
    else:
        check_of_file(filed, checkpoint, table)
    told, more = probe.made(filed, table, saved=saved)
    kept = keep(live, checkpoint, table, manifest.checkpoint_id, more)
    if kept.file is not None and not saved:
        kept = if_the_same(filed, table, kept)
    tensors = {key: _named(r, known.tensors.get(key)) for key, r in table.tensors.items()}
    spelled_out = checkpoint.architecture() is not None
    graph = graph_of(known, table, spelled_out=spelled_out)
    manifest = replace(
        manifest,
        table=replace(graph, tensors=tensors, addressing=table.addressing),
        architecture=None if spelled_out else live_model.architecture(model),
        model=environment.describe(model),
        optimizer=optimizer_configs.describe_optimizers(model),
        environment=environment.environment(model),
        probe=told,
    )
    return kept.described_in(manifest), kept.content


def _named(stored: TensorRecord, live: TensorRecord | None) -> TensorRecord:
    if live is None or live.spec.shape != stored.spec.shape:
        return stored
    return live.holding(stored, stored.stored_as)


def _previous_id(path: Path) -> str | None:
    try:
        before = sidecar.read(path)
    except (KerasguardError, OSError):
        return None  # a broken old manifest must not stop a new save
    return before.checkpoint_id if before else None
