"""The pipelines: inspect, verify, plan, restore, load, and record.

Straight-line compositions of the floors below. Nothing is assigned until the plan is total and
every byte was compared with what was recorded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kerasguard import sidecar
from kerasguard.diagnose import Policy, RepairPlan, diagnose
from kerasguard.errors import UnrepairableError
from kerasguard.formats import open_checkpoint
from kerasguard.manifest import Manifest
from kerasguard.reading import ManifestPolicy, Reading
from kerasguard.recording import Recorded, record, save
from kerasguard.repairs import Step
from kerasguard.report import Outcome, Report
from kerasguard.restoring import Prepared, prepare
from kerasguard.rules import VALUE_RULES
from kerasguard.tensors import Table, digest

__all__ = [
    "Recorded",
    "Restored",
    "inspect",
    "load",
    "plan",
    "record",
    "restore",
    "save",
    "verify",
]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Restored:
    """A restored model and what it took.

    Args:
        model: a Keras model, ready for inference; compiled if it was saved compiled.
        report: findings, steps, and per tensor whether its bytes are the recorded ones.
    """

    model: Any
    report: Report


def inspect(path: PathLike) -> Manifest:
    """What a checkpoint holds, without reading its tensors; imports no framework.

    Returns:
        The manifest beside it, or one made from the checkpoint's own headers, which then has no
        digests and no `checkpoint_id`.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    with _local(path) as (local, found):
        manifest = found if isinstance(found, Manifest) else sidecar.read(local)
        with open_checkpoint(local) as checkpoint:
            if manifest is not None:
                return manifest
            return Manifest(checkpoint.name, (), checkpoint.table(), versions=checkpoint.writer())


def verify(path: PathLike) -> Report:
    """Compare every byte of a checkpoint with its manifest; imports no framework.

    Returns:
        A report; `report.ok` is False if anything differs, `report.origin` tells whether there
        was a manifest at all.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ManifestError: the manifest cannot be read.
    """
    with _local(path) as (local, found), Reading(local, found) as reading:
        stored = reading.finish()
        steps = [Step(key, (key,)) for key in stored.tensors]
        problems = [*reading.problems, *reading.rehash()]
        outcome = diagnose(
            stored, stored, reading.manifest, problems=problems, given=steps, rules=VALUE_RULES
        )
        return replace(_report(path, reading, outcome), action="verify", plan=None)


def plan(
    path: PathLike,
    model: Any = None,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    renames: Mapping[str, str] | None = None,
    repair: Policy = "exact",
    manifest: ManifestPolicy = "auto",
) -> RepairPlan:
    """What `restore` would do: a dry run that reads every byte and changes nothing.

    Args and errors as for `restore`; findings that cannot be settled are in the plan's
    `unresolved` instead of an exception.
    """
    with _local(path, manifest) as (local, found), Reading(local, found) as reading:
        prepared = prepare(reading, model, custom_objects, compile=True)
        return prepared.diagnose(reading, renames, repair)


def restore(
    path: PathLike,
    model: Any = None,
    *,
    strategy: Any = None,
    custom_objects: Mapping[str, Any] | None = None,
    renames: Mapping[str, str] | None = None,
    repair: Policy = "exact",
    compile: bool = True,  # noqa: A002  # Keras' own name for it
    manifest: ManifestPolicy = "auto",
) -> Restored:
    """Restore a checkpoint: verified first, then assigned as a whole or not at all.

    Args:
        path: a file, a folder, a TensorFlow checkpoint's prefix, or an MLflow URI (`models:/...`,
            `runs:/...`).
        model: to restore into; by default the model is built from the checkpoint.
        strategy: a `tf.distribute` strategy to create the model under; by default the active one.
        custom_objects: classes and functions that the stored config names.
        renames: patterns of stored names to expected ones, `{"old/*": "new/*"}`.
        repair: which repairs may be taken without asking: `off`, `exact` (lossless and the only
            one that the evidence allows), `lossy`, `guess`.
        compile: restore optimizer, loss and metrics too.
        manifest: `auto`, `require`, or `ignore` to load what is there unverified.

    Raises:
        CheckpointError, ManifestError: something cannot be read.
        ArchitectureError: no model can be built from the checkpoint.
        ModelError: `model` cannot take part.
        UnrepairableError: some tensor has no step that `repair` allows; nothing was assigned.
        RestoreError: assigning failed; the model holds what it held before.
    """
    from kerasguard.integrations import tf_distribute

    with _local(path, manifest) as (local, found), Reading(local, found) as reading:
        with tf_distribute.scope(strategy, model):
            prepared = prepare(reading, model, custom_objects, compile=compile)
            decided = prepared.diagnose(reading, renames, repair)
            report = _report(path, reading, decided, action="restore")
            if decided.unresolved:
                raise UnrepairableError(_refusal(path, decided, repair), report)
            values = reading.values(decided.steps)
            prepared.target.assign(values, reading.checkpoint.assets())
            prepared.finish(values)
            replicas = tf_distribute.replica_count(prepared.target.model)
        outcomes = tuple(_outcomes(reading, decided, values))
        report = replace(
            report, outcomes=outcomes, replicas=replicas, optimizer=_optimizer(prepared, decided)
        )
        return Restored(prepared.target.model, report)


def load(
    path: PathLike,
    model: Any = None,
    *,
    strategy: Any = None,
    custom_objects: Mapping[str, Any] | None = None,
    renames: Mapping[str, str] | None = None,
    repair: Policy = "exact",
    compile: bool = True,  # noqa: A002  # Keras' own name for it
    manifest: ManifestPolicy = "auto",
) -> Any:
    """The model that `restore` restores; arguments and errors as there.

    Example:
        >>> model = kerasguard.load("run/07.keras")  # doctest: +SKIP
    """
    return restore(
        path,
        model,
        strategy=strategy,
        custom_objects=custom_objects,
        renames=renames,
        repair=repair,
        compile=compile,
        manifest=manifest,
    ).model


@contextlib.contextmanager
def _local(
    path: PathLike, manifest: ManifestPolicy = "auto"
) -> Iterator[tuple[Path, Manifest | ManifestPolicy]]:
    """The checkpoint on this machine and which manifest to use.

    An MLflow URI is downloaded to a private folder, and its manifest found in the registry.
    """
    if isinstance(path, str) and path.startswith(("models:/", "runs:/", "mlflow-artifacts:/")):
        from kerasguard.integrations import mlflow_models

        policy: Literal["auto", "ignore"] = "ignore" if manifest == "ignore" else "auto"
        with mlflow_models.resolve(path, manifest=policy) as download:
            yield download.path, download.manifest or manifest
    else:
        yield Path(path), manifest


def _report(path: PathLike, reading: Reading, decided: RepairPlan, **more: Any) -> Report:
    manifest = reading.manifest
    return Report(
        path=str(path),
        format=reading.checkpoint.name,
        findings=decided.findings,
        plan=decided,
        origin="recorded" if manifest else "unrecorded",
        checkpoint_id=manifest.checkpoint_id if manifest else "",
        versions=reading.writer(),
        **{"action": "plan", **more},
    )


def _outcomes(
    reading: Reading, decided: RepairPlan, values: Mapping[str, Any]
) -> Iterator[Outcome]:
    for step in decided.steps:
        stored = reading.table.tensors[step.sources[0]]
        plain = not step.ops and step.join is None
        found = stored.digest if plain else digest(values[step.target])
        before = None
        if reading.manifest is not None and plain:
            before = reading.manifest.table.tensors[step.sources[0]].digest == found
        note = ", ".join(str(op) for op in step.ops)
        yield Outcome(step.target, " + ".join(step.sources), found or "", before, note)


def _optimizer(prepared: Prepared, decided: RepairPlan) -> str:
    if decided.optimizer_reason:
        return f"not restored: {decided.optimizer_reason}"
    table: Table = prepared.target.table
    roles = {table.tensors[step.target].role for step in decided.steps}
    return "restored" if "optimizer" in roles else "none"


def _refusal(path: PathLike, decided: RepairPlan, repair: Policy) -> str:
    bad = decided.unresolved
    shown = "\n".join(f"  {finding}" for finding in bad[:20])
    more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
    hint = ""
    offered = sorted({f.safety.value for f in bad if f.repairs}, reverse=True)
    if offered:
        hint = f' ; to allow repairs: repair="{offered[0]}"'
    return (
        f'{path}: {len(bad)} findings cannot be settled under repair="{repair}"; the model was '
        f"not changed.\n{shown}{more}\nSee: kerasguard plan {path}{hint}"
    )
