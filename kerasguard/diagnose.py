"""Fold the rules over a draft: three tables in, a total plan out. Pure: reads nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from kerasguard.draft import Draft
from kerasguard.findings import Finding, Severity
from kerasguard.identity import Pairing, pair
from kerasguard.losses import Loss
from kerasguard.manifest import Manifest
from kerasguard.optimizer_state import pair_optimizer
from kerasguard.repairs import Step
from kerasguard.rules import RULES
from kerasguard.tensors import Table, TensorRecord

__all__ = ["Policy", "RepairPlan", "Rule", "diagnose"]

Policy = Literal["off", "exact", "lossy", "guess"]
Rule = Callable[[Draft], Iterator[Finding]]
_NOT_ASSIGNED = ("asset", "probe")
_ALLOWED = {"off": -1, "exact": 0, "lossy": 1, "guess": 2}


@dataclass(frozen=True)
class RepairPlan:
    """How every expected tensor gets its value, or why it does not.

    Args:
        steps: one per expected tensor that can be restored.
        findings: everything that was noticed, in the order of the rules.
        applied: the findings whose repairs the steps contain.
        unresolved: the errors that remain; a restore raises `UnrepairableError` if there are any.
        unused: stored keys that no step reads.
        optimizer_reason: why optimizer state is not restored; empty where it is or none exists.
    """

    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    applied: tuple[Finding, ...]
    unresolved: tuple[Finding, ...]
    unused: tuple[str, ...]
    optimizer_reason: str = ""

    @property
    def total(self) -> bool:
        """Whether nothing stands in the way of running it."""
        return not self.unresolved

    def with_finding(self, finding: Finding, *, leave: str = "") -> RepairPlan:
        """The plan with one finding more, and without the step that restores `leave`."""
        left = [step for step in self.steps if step.target == leave]
        return replace(
            self,
            steps=tuple(step for step in self.steps if step.target != leave),
            findings=(*self.findings, finding),
            unused=(*self.unused, *(source for step in left for source in step.sources)),
        )

    def __str__(self) -> str:
        changed = [step for step in self.steps if step.ops or step.join]
        head = (
            f"{len(self.steps)} tensors to restore, {len(changed)} of them changed on the way, "
            f"{len(self.applied)} repairs, {len(self.unresolved)} unresolved, "
            f"{len(self.unused)} stored tensors unused"
        )
        repaired = set(self.applied)
        return "\n".join(
            [
                head,
                *(
                    f"  {'repaired' if finding in repaired else finding.severity.value}: {finding}"
                    for finding in self.findings
                ),
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        place = {finding: i for i, finding in enumerate(self.findings)}
        return {
            "steps": [step.to_dict() for step in self.steps],
            "findings": [f.to_dict() for f in self.findings],
            "applied": [place[f] for f in self.applied],
            "unresolved": [place[f] for f in self.unresolved],
            "unused": list(self.unused),
            "optimizer_reason": self.optimizer_reason,
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> RepairPlan:
        """Law: `RepairPlan.from_dict(p.to_dict()) == p`."""
        findings = tuple(Finding.from_dict(f) for f in data["findings"])
        return RepairPlan(
            tuple(Step.from_dict(step) for step in data["steps"]),
            findings,
            tuple(findings[i] for i in data["applied"]),
            tuple(findings[i] for i in data["unresolved"]),
            tuple(data["unused"]),
            data["optimizer_reason"],
        )


def diagnose(
    expected: Table,
    stored: Table,
    manifest: Manifest | None = None,
    *,
    repair: Policy = "exact",
    renames: Mapping[str, str] | None = None,
    rules: Sequence[Rule] = RULES,
    problems: Sequence[str] = (),
    prior: Sequence[Finding] = (),
    own: bool = False,
    unbuilt: Sequence[str] = (),
    absent: Sequence[TensorRecord] = (),
    loss: Callable[[Step, str], Loss] | None = None,
    given: Sequence[Step | Finding] | None = None,
) -> RepairPlan:
    """Compare the three tables and plan the restore.

    Args:
        expected: the model's table.
        stored: the checkpoint's table, digests included where its bytes were read.
        manifest: what was recorded.
        repair: which repairs may be taken without asking.
        renames: patterns of stored names (`old/*`) to expected ones (`new/*`).
        rules: in order of repair.
        problems: damage to the container, a line each.
        prior: findings from before the tensors (migrations of the architecture).
        own: whether the model was built from the checkpoint's own architecture, so that every
            stored weight must have its place in it.
        unbuilt: names of the model's layers that have no weights because nothing built them.
        absent: vocabularies of the model that the checkpoint has no file for.
        loss: measures what a lossy step does to the stored values.
        given: steps and findings of a format that knows its own layouts; then weights are not
            paired here.
    """
    collecting = gc.isenabled()
    gc.disable()  # thousands of records and no cycles: looking for some would not be linear
    try:
        steps = None if given is None else [s for s in given if isinstance(s, Step)]
        draft = _first_draft(expected, stored, manifest, renames, loss, steps)
        draft = replace(draft, problems=tuple(problems), own=own, unbuilt=tuple(unbuilt))
        draft = replace(draft, absent=tuple(absent))
        layouts = [f for f in given or () if isinstance(f, Finding)]
        return _fold((lambda _: iter(layouts), *rules), draft, prior, repair)
    finally:
        if collecting:
            gc.enable()


def _fold(
    rules: Sequence[Rule], draft: Draft, prior: Sequence[Finding], repair: Policy
) -> RepairPlan:
    """Run the rules in order, each on what the repairs before it have made."""
    findings = list(prior)
    applied: list[Finding] = []
    unresolved = [f for f in prior if f.severity is Severity.ERROR]
    for rule in rules:
        taken: list[Step] = []
        for finding in rule(draft):
            findings.append(finding)
            if finding.repairs and finding.safety.rank <= _ALLOWED[repair]:
                taken += finding.repairs
                applied.append(finding)
            elif finding.severity is Severity.ERROR:
                unresolved.append(finding)
        draft = draft.with_steps(taken) if taken else draft
    used = draft.used()
    return RepairPlan(
        tuple(draft.steps[key] for key in draft.expected.tensors if key in draft.steps),
        tuple(findings),
        tuple(applied),
        tuple(unresolved),
        tuple(
            k
            for k, r in draft.stored.tensors.items()
            if k not in used and r.role not in _NOT_ASSIGNED
        ),
        draft.optimizer_reason,
    )


def _first_draft(
    expected: Table,
    stored: Table,
    manifest: Manifest | None,
    renames: Mapping[str, str] | None,
    loss: Callable[[Step, str], Loss] | None,
    given: Sequence[Step] | None,
) -> Draft:
    """Steps for what the format's own addressing decides; the rules propose the rest."""
    if given is not None:
        pairing, steps = Pairing(), {s.target: s for s in given}
        weights = {s.target: s.sources[0] for s in given}
        in_order = True
    else:
        pairing = pair(expected, stored, renames)
        weights = dict(pairing.tensors)
        in_order = pairing.addressed
        placed = {e for e, s in pairing.layers.items() if _in_place(pairing, e, s)}
        steps = {
            a: Step(a, (b,))
            for e in placed
            for a, b in ((r.key, weights.get(r.key)) for r in pairing.expected[e].members.values())
            if b is not None
        }
    state, reason = pair_optimizer(expected, stored, weights, in_order=in_order)
    steps |= {a: Step(a, (b,)) for a, b in state.items()}
    for key, record in expected.tensors.items():
        if record.role not in ("weight", "optimizer") and key in stored.tensors:
            steps.setdefault(key, Step(key, (key,)))
    return Draft(expected, stored, manifest, pairing, steps, reason, loss=loss)


def _in_place(pairing: Pairing, e: str, s: str) -> bool:
    return pairing.evidence[e] in ("address", "renames") or e == s
