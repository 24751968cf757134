"""One attempt to restore a checkpoint: everything is known before the first variable is assigned.

`attempt` reads the checkpoint to its end, builds the model and plans; `Attempt.run` carries the
plan out. A dry run is an attempt that is not run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from kerasguard.arguments import check_choice
from kerasguard.elements import digest
from kerasguard.errors import UnrepairableError
from kerasguard.loader.probe_check import probed
from kerasguard.loader.reading import Reading
from kerasguard.loader.sources import Source, at_hand, named, report_of
from kerasguard.planning.gc_pause import uncollected
from kerasguard.planning.plan import Policy, Rate, RepairPlan
from kerasguard.report import Outcome, Report
from kerasguard.storage.sidecar import ManifestPolicy
from kerasguard.tensors import Table

if TYPE_CHECKING:
    from kerasguard.loader.prepared import Prepared

__all__ = ["Attempt", "Restored", "attempt"]


@dataclass(frozen=True)
class Restored:
    """A restored model and what it took.

    Args:
        model: a Keras model, ready for inference; compiled if it was saved compiled.
        report: findings, steps, and per tensor whether its bytes are the recorded ones.
    """

    model: Any
    report: Report


@dataclass(frozen=True)
class Attempt:
    """A checkpoint that was read to its end, the model for it, and the plan; nothing assigned yet.

    Args:
        path: as the caller named it.
        reading: the open checkpoint.
        prepared: the model to restore into.
        decided: the plan.
        probe: whether to compare what the model computes, where the manifest tells it.
    """

    path: Source
    reading: Reading
    prepared: Prepared
    decided: RepairPlan
    probe: bool = True

    def report(self, **more: Any) -> Report:
        """What is known before anything was assigned."""
        return report_of(self.path, self.reading, self.decided, **more)

    def _probe(self, repair: Policy, report: Report) -> None:
        """Compare what the model computes with what it did, if that was recorded."""
        told = self.reading.manifest.probe if self.reading.manifest and self.probe else None
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
            raise UnrepairableError(_refusal(self.path, decided, repair), report)

    def run(self, repair: Policy, **more: Any) -> Restored:
        """Assign everything; raises as `restore`."""
        from kerasguard.models import tf_distribute

        reading, decided, target = self.reading, self.decided, self.prepared.target
        report = self.report(**{"action": "restore", **more})
        if decided.unresolved:
            raise UnrepairableError(_refusal(self.path, decided, repair), report)
        with uncollected():
            values = reading.values(decided.steps)
            target.assign(values, reading.assets(), lambda: self._probe(repair, report))
            self.prepared.finish(values)
        report = replace(
            report,
            outcomes=tuple(_outcomes(reading, decided, values)),
            replicas=tf_distribute.replica_count(target.model),
            optimizer=_optimizer(self.prepared, decided),
        )
        return Restored(target.model, report)


@contextlib.contextmanager
def attempt(
    path: Source,
    model: Any = None,
    *,
    strategy: Any = None,
    custom_objects: Mapping[str, Any] | None = None,
    renames: Mapping[str, str] | None = None,
    repair: Policy = "exact",
    compile: bool = True,  # noqa: A002  # Keras' own name for it
    manifest: ManifestPolicy = "auto",
    probe: bool = True,
    learning_rate: Rate = "auto",
    allow_graph: bool = False,
    keep: bool = True,
) -> Iterator[Attempt]:
    """Read, build and plan, inside the strategy's scope; the first half of `restore`.

    Args and errors as for `restore`; without `keep` no tensor stays in memory, for dry runs.
    """
    check_choice("manifest", manifest, get_args(ManifestPolicy))
    # Here, so that whoever only looks at a file does not wait for every migration's import.
    from kerasguard.loader.build_model import prepare
    from kerasguard.loader.plan_restore import plan_restore
    from kerasguard.models import tf_distribute

    with (
        at_hand(path, manifest) as (local, found),
        Reading(local, found, keep=keep) as reading,
        tf_distribute.scope(strategy, model),
    ):
        with uncollected():
            prepared = prepare(
                reading, model, custom_objects, compile=compile, allow_graph=allow_graph
            )
            decided = plan_restore(
                prepared, reading, renames=renames, repair=repair, rate=learning_rate
            )
        yield Attempt(path, reading, prepared, decided, probe)


def _outcomes(
    reading: Reading, decided: RepairPlan, values: Mapping[str, Any]
) -> Iterator[Outcome]:
    for step in decided.steps:
        stored = reading.table.tensors[step.sources[0]]
        plain = not step.ops and step.join is None
        found = stored.digest if plain else digest(values[step.target])
        before = None
        if reading.manifest is not None and plain:
            before = reading.manifest.recorded[step.sources[0]].digest == found
        note = ", ".join(str(op) for op in step.ops)
        yield Outcome(step.target, " + ".join(step.sources), found or "", before, note)


def _optimizer(prepared: Prepared, decided: RepairPlan) -> str:
    if decided.optimizer_reason:
        return f"not restored: {decided.optimizer_reason}"
    table: Table = prepared.target.table
    slots = {key for key, record in table.tensors.items() if record.role == "optimizer"}
    return "restored" if any(step.target in slots for step in decided.steps) else "none"


def _problems(count: int) -> str:
    return "1 problem is" if count == 1 else f"{count} problems are"


def _refusal(path: Source, decided: RepairPlan, repair: Policy) -> str:
    bad = decided.unresolved
    shown = "\n".join(f"  {finding}" for finding in bad[:20])
    more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
    hint = ""
    offered = sorted({f.safety.value for f in bad if f.repairs}, reverse=True)
    if offered:
        hint = f' ; to allow repairs: repair="{offered[0]}"'
    see = "kerasguard.plan(...)" if isinstance(path, Mapping) else f"kerasguard plan {path}"
    return (
        f"{named(path)}: cannot be loaded: {_problems(len(bad))} not repairable under "
        f'repair="{repair}". The model was not changed.\n{shown}{more}\nSee: {see}{hint}'
    )
