"""One attempt to restore a checkpoint: everything is known before the first variable is assigned.

`attempt` reads the checkpoint to its end, builds the model and plans; `Attempt.run` carries the
plan out. A dry run is an attempt that is not run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kerasguard.errors import UnrepairableError
from kerasguard.loader.arrays import Arrays
from kerasguard.loader.config_argument import given_config
from kerasguard.loader.peers import Peers, failing, peers_of, planned, seeded
from kerasguard.loader.pinned import check_files, check_weights
from kerasguard.loader.probe_check import not_compared, probed
from kerasguard.loader.reading import Reading
from kerasguard.loader.request import Request
from kerasguard.loader.selection import Selection, select
from kerasguard.loader.sources import named, report_of
from kerasguard.loader.together import opened, opened_together
from kerasguard.planning.agreement import Statement
from kerasguard.planning.findings import Finding, skipping
from kerasguard.planning.gc_pause import uncollected
from kerasguard.planning.plan import RepairPlan
from kerasguard.report import Outcome, Report
from kerasguard.tensors import Table
from kerasguard.tensors.elements import digest

if TYPE_CHECKING:
    from kerasguard.loader.prepared import Prepared

__all__ = ["Attempt", "Restored", "attempt"]

# Findings of one tensor alone, which may stay as it is.
_SKIPPABLE = ("KG101", "KG203")
_GUESSED = (
    "\nThe model had never been built and no shape of its input was recorded: it was built by a "
    "guess, and has other weights than the stored ones. Make it anew, and call it on data first."
)
_TWO_PASSES = (
    'memory="low": all was verified first, and each tensor again before it was assigned; if '
    "reading had failed in between, the model would have kept what was assigned by then"
)


@dataclass(frozen=True)
class Restored:
    """A restored model and what it took.

    Args:
        model: a Keras model, ready for inference; compiled if it was saved compiled.
        report: findings, steps, and per tensor whether its bytes are the recorded ones.
    """

    model: Any
    report: Report

    def __repr__(self) -> str:
        return f"<Restored {getattr(self.model, 'name', self.model)!r}: {self.report.verdict}>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


@dataclass(frozen=True)
class Attempt:
    """A checkpoint that was read to its end, the model for it, and the plan; nothing assigned yet.

    Args:
        request: what the caller asks for.
        reading: the open checkpoint.
        prepared: the model to restore into.
        decided: the plan.
        selection: what keeps its values.
        peers: the other workers that do the same; None where there are none.
    """

    request: Request
    reading: Reading
    prepared: Prepared
    decided: RepairPlan
    selection: Selection
    peers: Peers | None = None

    def report(self, **more: Any) -> Report:
        """What is known before anything was assigned."""
        return report_of(self.request.path, self.reading, self.decided, **more)

    @property
    def _told(self) -> Mapping[str, Any] | None:
        """The manifest's probe, if it is to be compared."""
        return self.reading.manifest.probe if self.reading.manifest and self.request.probe else None

    def _probe(self, report: Report) -> None:
        """Compare what the model computes with what it did, if that was recorded."""
        told = self._told
        if not told:
            return
        found = tuple(probed(self.prepared.target.model, told, self.reading, self.decided))
        if found:
            decided = replace(
                self.decided,
                findings=(*self.decided.findings, *found),
                unresolved=(*self.decided.unresolved, *found),
            )
            report = replace(report, findings=decided.findings, plan=decided)
            taken_back = self.request.in_one_pass  # else the journal says what the model holds
            table = self.prepared.target.table
            text = _refusal(self.request, decided, table, unchanged=taken_back)
            raise UnrepairableError(text, report)

    def _checked(self, report: Report | None) -> None:
        """With everything assigned: what the model computes, and whether every worker is as far."""
        if report is not None:
            self._probe(report)
        if self.peers is not None:
            self.peers.agree(Statement("done"), "model")

    def run(self, **more: Any) -> Restored:
        """Assign everything; raises as `restore`."""
        from kerasguard.models import placement

        reading, decided, target = self.reading, self.decided, self.prepared.target
        report = self.report(**{"action": "restore", **more})
        if decided.unresolved:
            guessed = self.prepared.guessed
            text = _refusal(self.request, decided, target.table, unchanged=not guessed)
            raise UnrepairableError(f"{text}{_GUESSED if guessed else ''}", report)
        skipped = not_compared(target.model, decided.skipped) if self._told else ()
        report = replace(report, findings=(*report.findings, *skipped))
        checks = partial(self._checked, None if skipped else report)
        with uncollected(), failing(self.peers, "model"):
            values = reading.values(decided.steps)
            assets = self.selection.assets(reading.assets(), target)
            proven = target.assign(values, assets, checks)
        with uncollected():
            self.prepared.finish(values)
            if self.peers is not None:
                self.peers.share(self.prepared.initialised)
        report = replace(
            report,
            outcomes=tuple(_outcomes(reading, decided, values, proven)),
            replicas=placement.replica_count(target.model),
            optimizer=_optimizer(self.prepared, decided),
            caveat="" if self.request.in_one_pass else _TWO_PASSES,
        )
        return Restored(target.model, report)


@contextlib.contextmanager
def attempt(request: Request) -> Iterator[Attempt]:
    """Read, build and plan, inside the strategy's scope; the first half of `restore`."""
    # Here, so that whoever only looks at a file does not wait for every migration's import.
    from kerasguard.loader.build_model import prepare
    from kerasguard.loader.plan_restore import plan_restore
    from kerasguard.models import environment, placement

    scoped = {**environment.scoped_objects(), **(request.custom_objects or {})}
    request = replace(request, custom_objects=scoped)
    given = None if request.config is None else given_config(request.config)
    peers = peers_of(request.strategy, request.model, named(request.path))
    with (
        opened(request) if peers is None else opened_together(request, peers) as (reading, found),
        placement.scope(request.strategy, request.model),
        environment.registered_count(count=request.registered),
    ):
        with failing(peers, "plan"):
            if request.digest is not None:
                check_files(reading, request.digest, own_model=request.own_model)
            with uncollected(), seeded(peers):
                prepared = prepare(reading, request, given)
                prepared = replace(prepared, findings=(*found, *prepared.findings))
                selection = select(prepared, request)
                decided = plan_restore(prepared, reading, request, selection)
            if request.digest is not None:
                check_weights(reading, request.digest)
        if peers is not None:
            peers.agree(planned(decided), "plan")
        yield Attempt(request, reading, prepared, decided, selection, peers)


def _outcomes(
    reading: Reading, decided: RepairPlan, values: Mapping[str, Any], held: frozenset[str]
) -> Iterator[Outcome]:
    """What became of each tensor; proven is what the model holds now, read again."""
    for step in decided.steps:
        stored = reading.table.tensors[step.sources[0]]
        plain = not step.ops and step.join is None
        found = stored.digest if plain else digest(values[step.target])
        before = None
        if reading.manifest is not None and plain:
            before = reading.manifest.recorded[step.sources[0]].digest == found
        note = ", ".join(str(op) for op in step.ops)
        if step.target not in held:
            before, note = None, f"{note}, not read back".removeprefix(", ")
        yield Outcome(step.target, " + ".join(step.sources), found or "", before, note)


def _optimizer(prepared: Prepared, decided: RepairPlan) -> str:
    if decided.optimizer_reason:
        return f"not restored: {decided.optimizer_reason}"
    table: Table = prepared.target.table
    slots = {key for key, record in table.tensors.items() if record.role == "optimizer"}
    return "restored" if any(step.target in slots for step in decided.steps) else "none"


def _problems(count: int) -> str:
    return "1 problem is" if count == 1 else f"{count} problems are"


def _refusal(request: Request, decided: RepairPlan, expected: Table, *, unchanged: bool) -> str:
    bad = decided.unresolved
    shown = "\n".join(f"  {finding}" for finding in bad[:20])
    more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
    offered = sorted({f.safety.value for f in bad if f.repairs}, reverse=True)
    hint = f' ; to allow repairs: repair="{offered[0]}"' if offered else ""
    model = " The model was not changed." if unchanged else ""
    if any(key.endswith(".weight") for key in decided.unused) and not _as_modules(request):
        hint += ' ; if these are PyTorch arrays: kerasguard.read(..., layout="torch")'
    if skip := _skip_all(bad, expected):
        hint += f" ; to load the rest: {skip}"
    return (
        f"{named(request.path)}: cannot be loaded: {_problems(len(bad))} not repairable under "
        f'repair="{request.repair}".{model}\n{shown}{more}\n'
        f"See: {_dry_run(request)}{hint}"
    )


def _as_modules(request: Request) -> bool:
    """Whether the caller has said that the names are those of PyTorch's modules."""
    return isinstance(request.path, Arrays) and request.path.layout == "torch"


def _skip_all(bad: Sequence[Finding], expected: Table) -> str:
    """What leaves out all that stands in the way, if it is several layers and nothing else."""
    records = [expected.tensors.get(f.key) if f.code in _SKIPPABLE else None for f in bad]
    known = [record for record in records if record is not None]
    layers = {record.layer for record in known}
    return skipping(*known) if len(known) == len(bad) and len(layers) > 1 else ""


def _dry_run(request: Request) -> str:
    """What shows the same findings; the command line builds the model from the checkpoint."""
    if not isinstance(request.path, (str, os.PathLike)):
        return "kerasguard.plan(...) with the same arguments"
    if request.own_model or request.custom_objects or request.renames:
        return f"kerasguard.plan({str(request.path)!r}, ...) with the same arguments"
    return f"kerasguard plan {request.path}"
