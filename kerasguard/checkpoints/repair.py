"""Repair: a checkpoint that only kerasguard can load becomes one that Keras alone loads.

The original is never written to. The new file and its manifest appear together, after Keras,
without any help, has read it back and got the same tensors and predictions from it; what Keras has
no reader for is compared by kerasguard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kerasguard.arguments import check_flag, check_path
from kerasguard.checkpoints import writing
from kerasguard.checkpoints.explain import explanations
from kerasguard.errors import ArgumentError, OutputError, UnrepairableError
from kerasguard.formats.targets import Target, target_of
from kerasguard.identity.renames import Renames
from kerasguard.loader.attempt import Attempt, Restored, attempt
from kerasguard.loader.config_argument import Config
from kerasguard.loader.request import Request
from kerasguard.loader.sources import PathLike, Source, named
from kerasguard.planning.plan import Policy, Rate
from kerasguard.recorder.patched_save import unrecorded
from kerasguard.recorder.recording import survey_checkpoint
from kerasguard.report import Report, Written
from kerasguard.storage.commit import Stage, staged
from kerasguard.storage.remote import is_remote, local_path
from kerasguard.storage.sidecar import ManifestPolicy, place_of

__all__ = ["convert", "repair"]

Progress = Callable[[str], object]
# What the report of a repair tells as it was planned.
_PLANNED = ("action", "written", "evidence")


def repair(
    path: Source,
    out: PathLike,
    model: Any = None,
    *,
    dry_run: bool = False,
    overwrite: bool = False,
    custom_objects: Mapping[str, Any] | None = None,
    renames: Renames | None = None,
    repair: Policy = "exact",
    manifest: ManifestPolicy = "auto",
    probe: bool = True,
    learning_rate: Rate = "auto",
    allow: str | Collection[str] = (),
    config: Config | None = None,
    skip: Collection[str] = (),
    only: Collection[str] | None = None,
    progress: Progress = lambda _: None,
) -> Report:
    """Rewrite a checkpoint, with manifest, as a file that Keras alone loads.

    `kerasguard.convert` is another name for it.

    Args:
        path: a checkpoint of any kind, or arrays by the path of their variable; stays as it is.
        out: the file to write, with its manifest beside it. Its suffix decides the format:
            `.keras`, the whole model; `.h5`, the same for older readers; `.weights.h5`;
            `.safetensors`, weights by the path of their variable, which kerasguard reads. The
            report's `.written.lacks` lists what such a file cannot hold.
        model: where the checkpoint holds weights only; it gets them.
        dry_run: report what would be done, and write nothing.
        overwrite: replace `out` if it exists.
        custom_objects: classes and functions that the stored config names.
        renames: patterns of stored names to expected ones, `{"old/*": "new/*"}`.
        repair: which repairs may be taken without asking, as for `restore`.
        manifest: `auto`, `require` or `ignore`, as for `restore`.
        probe: whether to compare what the model computes, as for `restore`.
        learning_rate: `stored`, `compiled` or `auto`, as for `restore`.
        allow: `"lambdas"`, as for `restore`.
        config: the architecture beside weights, as for `restore`.
        skip: the parts that keep the model's values, as for `restore`.
        only: the only parts taken from the checkpoint, as for `restore`.
        progress: called with a line before each step.

    Returns:
        A report of every migration and repair, with why it is right; `.written` says what Keras
        needs to load the file.

    Raises:
        OutputError: `out` is in the way, is the original, is not a place to write to, or its kind
            cannot hold the model.
        UnrepairableError: some tensor has no step that `repair` allows, or Keras alone could not
            load the result; nothing was written. A dry run returns its report instead.
        CheckpointError, ManifestError, ArchitectureError, ModelError: as for `restore`.
    """
    request = Request.of(locals(), keep=not dry_run)
    check_path("out", out)
    check_flag("dry_run", dry_run)
    check_flag("overwrite", overwrite)
    if not callable(progress):
        raise ArgumentError(f"progress={progress!r:.80} is not a function of a line of text")
    target, custom = local_path(out), dict(custom_objects or {})
    kind = _kind(target, os.fspath(out), overwrite=overwrite)
    progress(f"reading {named(path)}")
    with attempt(request) as found:
        _check_apart(found, target)
        report = _planned(found, target, kind)
        if dry_run:
            return report
        _refuse_blocked(found, report)
        progress(f"restoring {len(found.decided.steps)} tensors")
        restored = found.run(**{name: getattr(report, name) for name in _PLANNED})
        training = found.reading.manifest.training if found.reading.manifest else {}
    with staged(target) as stage:
        done = _write(stage, kind, restored, custom, training, progress)
    return replace(restored.report, written=done)


convert = repair


def _refuse_blocked(found: Attempt, report: Report) -> None:
    """Refuse what Keras alone could not load; where a tensor has no step, that is said first."""
    if found.decided.total and report.blocked:
        raise UnrepairableError(report.text, report)


def _planned(found: Attempt, out: Path, kind: Target) -> Report:
    """The report with what makes each change right, and with what Keras will need."""
    from kerasguard.models import live_model, stock

    known = explanations()
    codes = sorted({finding.code for finding in found.decided.findings})
    model = found.prepared.target.model
    architecture = live_model.architecture(model) if kind.architecture else {}
    return found.report(
        action="repair",
        evidence={code: known[code].exact for code in codes if code in known},
        blocked=tuple(stock.obstacles(architecture)),
        written=Written(
            str(out),
            stock.needs(architecture or {}),
            lacks=tuple(writing.lacks(kind, model)),
            line=kind.line,
            reader=kind.reader,
        ),
    )


def _write(
    stage: Stage,
    kind: Target,
    restored: Restored,
    custom_objects: Mapping[str, Any],
    training: Mapping[str, Any],
    progress: Progress,
) -> Written:
    """Write the model, have Keras read it back, record it, and put it in its place."""
    from kerasguard.models import stock

    model, report = restored.model, restored.report
    assert report.written is not None, "it was planned"
    planned = report.written
    if stage.folder is None:
        raise OutputError(stage.given, f"cannot be written safely: {stage.reason}")
    progress(f"writing {stage.given}")
    with unrecorded():
        try:
            stage.write(partial(writing.write, kind, model))
        except (TypeError, ValueError, NotImplementedError) as error:
            raise OutputError(stage.given, f"cannot be written: {error!s:.500}") from error
    checkpoint = stage.checkpoint
    if checkpoint is None:
        raise OutputError(stage.given, "Keras wrote nothing")
    progress("reading it back" + (" with Keras alone" if kind.reader == "keras" else ""))
    supplied = stock.supply(planned.needs, custom_objects)
    difference, proof = writing.read_back(kind, checkpoint, model, supplied)
    if difference:
        report = replace(report, blocked=(difference,))
        raise UnrepairableError(report.text, report)
    recorded, kept = survey_checkpoint(checkpoint, model, training=training, previous=stage.target)
    stage.commit(recorded, kept)
    lacks = (*planned.lacks, *writing.beside(recorded))
    return replace(planned, checkpoint_id=recorded.checkpoint_id, proof=proof, lacks=lacks)


def _kind(out: Path, given: str, *, overwrite: bool) -> Target:
    """What is to be written; refuses, before the long work, what could not be in the end."""
    if is_remote(given):
        raise OutputError(given, "is not on this machine; write a file here and copy it there")
    kind = target_of(out)
    if out.is_dir():
        raise OutputError(out, "is a folder; name a file")
    if not out.parent.is_dir():
        raise OutputError(out, f"there is no folder {out.parent}; create it first")
    in_the_way = [path for path in (out, place_of(out)) if os.path.lexists(path)]
    if in_the_way and not overwrite:
        raise OutputError(
            in_the_way[0], "exists and is not overwritten; name another, or ask to overwrite it"
        )
    return kind


def _check_apart(found: Attempt, out: Path) -> None:
    """Refuse to write over the original, under whatever name, or into its folder."""
    files = {file.path for file in found.reading.checkpoint.files().values()}
    same = out.exists() and any(out.samefile(file) for file in files)
    path = found.reading.path
    real, source = Path(os.path.realpath(out)), Path(os.path.realpath(path))
    if same or real == source or source in real.parents:
        raise OutputError(
            out,
            f"is {path} itself or inside it; the original is never written to, so name another "
            "place",
        )
