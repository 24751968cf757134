"""What a checkpoint holds, and whether it is as recorded: the pipelines that need no model.

They import no framework, and where every byte is as recorded neither NumPy nor a reader of formats.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasguard.arguments import check_flag, check_place
from kerasguard.errors import ArchitectureError
from kerasguard.identity.pairing import Pairing
from kerasguard.loader.sources import Place, at_hand, named, report_of
from kerasguard.manifest import Manifest
from kerasguard.planning.draft import Draft
from kerasguard.planning.operations import Step
from kerasguard.planning.plan import RepairPlan, fold
from kerasguard.report import Report
from kerasguard.rules import value_rules
from kerasguard.storage import sidecar
from kerasguard.storage.as_recorded import as_recorded, opened
from kerasguard.storage.pair import undisturbed
from kerasguard.storage.sidecar import ManifestPolicy
from kerasguard.tensors import Table

if TYPE_CHECKING:
    from kerasguard.blueprint.references import Doubt, Reason
    from kerasguard.loader.reading import Reading
    from kerasguard.report.statistics import Statistics
    from kerasguard.storage.checkpoint import Checkpoint

__all__ = ["doubts", "inspect", "lambdas", "verify"]


def inspect(path: Place) -> Manifest:
    """What a checkpoint holds, without reading its tensors; imports no framework.

    Returns:
        The manifest beside it, or one made from the checkpoint's own headers, which then has no
        digests and no `checkpoint_id`.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    with _both(path) as (manifest, checkpoint):
        if manifest is not None:
            return manifest
        return Manifest(checkpoint.name, (), checkpoint.table(), versions=checkpoint.writer())


def _check_file(path: object) -> None:
    """Refuse what is no file: of arrays, only what `kerasguard.read` gave has one."""
    file = not isinstance(path, Mapping) or (hasattr(path, "path") and hasattr(path, "records"))
    if not file:
        check_place("path", path)


@contextlib.contextmanager
def _both(path: Place) -> Iterator[tuple[Manifest | None, Checkpoint]]:
    """The manifest and the open checkpoint of one and the same save."""
    from kerasguard.formats import open_checkpoint

    _check_file(path)
    with at_hand(path) as (local, found):
        with undisturbed(local):
            manifest = found if isinstance(found, Manifest) else sidecar.read(local)
            checkpoint = open_checkpoint(local)
        with checkpoint:
            yield manifest, checkpoint


def lambdas(path: Place) -> dict[str, str]:
    """What the Lambda layers of a checkpoint compute, as far as their bytecode is understood.

    Nothing of it is run, and no framework is imported.

    Returns:
        By the layer's name: the function in Python, or why it was not read.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    from kerasguard.blueprint.lambdas.listing import lambda_sources
    from kerasguard.formats import open_checkpoint

    _check_file(path)
    with at_hand(path) as (local, _), open_checkpoint(local) as checkpoint:
        return dict(lambda_sources(checkpoint.architecture() or {}))


def doubts(path: Place) -> tuple[Doubt, ...]:
    """What the configs of a checkpoint name and no load takes because a file says so.

    Looked through are the architecture, in the checkpoint or its manifest, with the training that
    it was compiled with, and the configs of layers. Nothing is built and no framework is imported.

    Returns:
        Each with its reason: `class` and `function` are the caller's to supply, all others are
        refused.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ManifestError: the manifest cannot be read.
    """
    from kerasguard.blueprint import references
    from kerasguard.blueprint.writer import Writer

    with _both(path) as (manifest, checkpoint):
        own = checkpoint.architecture()
        stored = own or (manifest.architecture if manifest else None)
        layers = checkpoint.layer_configs()
        writer = {**checkpoint.writer(), "config": checkpoint.traits.config}
        older = own is not None and Writer.of(writer).before_keras3
    training = manifest.optimizer if manifest else {}
    # Keras 2.12 to 2.14 wrote the module that has it, and migrations make it Keras 3's.
    known = {"Functional"} if older else set[str]()
    told = (references.doubts(c, known.__contains__) for c in (stored, layers, training))
    found = dict.fromkeys(doubt for some in told for doubt in some)
    if older and stored:
        told_of = {(doubt.owner, doubt.reason) for doubt in found}
        for doubt in _asked_for(stored, writer):
            # Whose bytecode is not run can be supplied as a function: that is said already.
            if not {(doubt.owner, doubt.reason), (doubt.owner, "bytecode")} & told_of:
                found[doubt] = None
    return tuple(found)


def _asked_for(stored: Mapping[str, Any], writer: Mapping[str, str]) -> Iterator[Doubt]:
    """Classes and functions that a load asks its caller for: older Keras wrote them by name alone.

    A config that no load can read names none: it is refused, and told why.
    """
    from kerasguard.blueprint.allowlist import FUNCTION
    from kerasguard.blueprint.objects import short_name
    from kerasguard.blueprint.references import Doubt
    from kerasguard.loader.layer_limit import too_many_layers
    from kerasguard.migrations import drawn, run

    if too_many_layers(stored):
        return
    try:
        blueprint = drawn(stored, writer)
        run(blueprint)
    except ArchitectureError:
        return
    for name, owners in blueprint.missing.items():
        reason: Reason = "function" if FUNCTION.fullmatch(short_name(name)) else "class"
        for owner in dict.fromkeys(owners):
            yield Doubt(reason, owner, f"{name} is no part of Keras 3, and the caller's to supply")


def verify(path: Place, *, sha256: bool = False, statistics: bool = False) -> Report:
    """Compare every byte of a checkpoint with its manifest; imports no framework.

    Args:
        path: of the checkpoint, an address in MLflow or elsewhere (`s3://...`), or its bytes.
        sha256: compare the files' SHA-256, too. The xxh3 digests already cover every byte and find
            accidental damage; SHA-256 is for a manifest that came from a trusted source.
        statistics: also compute mean, spread and distribution of every tensor, for `report.html`
            and `report.rows()`; the tensors stay in memory until all are read.

    Returns:
        A report; `report.ok` is False if anything differs, `report.origin` says whether there was a
        manifest at all.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ManifestError: the manifest cannot be read.
    """
    check_place("path", path)
    check_flag("sha256", sha256)
    check_flag("statistics", statistics)
    with at_hand(path) as (local, found), contextlib.ExitStack() as stack:
        with undisturbed(local):
            manifest = found if isinstance(found, Manifest) else sidecar.read(local)
            files = opened(local, manifest, stack) if manifest else {}
        if manifest is None or statistics or not as_recorded(files, manifest, sha256=sha256):
            return _compared(path, local, found, sha256=sha256, statistics=statistics)
        recorded = Table(manifest.recorded, manifest.table.layers)
        return Report(
            path=named(path),
            format=manifest.format,
            action="verify",
            findings=_judged(recorded, manifest).findings,
            origin="recorded",
            checkpoint_id=manifest.checkpoint_id,
            versions={"format": manifest.format, **manifest.versions},
            records=tuple(manifest.recorded.values()),
        )


def _compared(
    path: Place,
    local: Path,
    manifest: Manifest | ManifestPolicy,
    *,
    sha256: bool = False,
    statistics: bool = False,
) -> Report:
    """Read the checkpoint as what it is, to tell what differs, or what it is without a manifest."""
    from kerasguard.loader.reading import Reading

    with Reading(local, manifest, keep=statistics) as reading:
        stored = reading.finish()
        unlike = reading.rehash() if sha256 else ()
        outcome = _judged(stored, reading.manifest, (*reading.problems, *unlike))
        told = _statistics(reading, stored) if statistics else {}
        report = report_of(path, reading, outcome)
        return replace(report, action="verify", plan=None, statistics=told)


def _statistics(reading: Reading, stored: Table) -> dict[str, Statistics]:
    from kerasguard.report.statistics import statistics_of

    found = {key: statistics_of(reading.value(key)) for key in stored.tensors}
    return {key: statistics for key, statistics in found.items() if statistics is not None}


def _judged(stored: Table, manifest: Manifest | None, problems: tuple[str, ...] = ()) -> RepairPlan:
    steps = {key: Step(key, (key,)) for key in stored.tensors}
    draft = Draft(stored, stored, manifest, Pairing(), steps, problems=problems)
    return fold(value_rules(), draft, (), "exact")
