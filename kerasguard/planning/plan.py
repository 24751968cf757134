"""The total plan, and how rules make it of a draft. Pure: reads nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal

from kerasguard.errors import ArgumentError, listed
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Step

__all__ = ["Policy", "Rate", "RepairPlan", "Rule", "fold"]

Policy = Literal["off", "exact", "lossy", "guess"]
Rate = Literal["auto", "stored", "compiled"]
Rule = Callable[[Draft], Iterator[Finding]]
_NOT_ASSIGNED = ("asset", "probe")
_ALLOWED = {"off": -1, "exact": 0, "lossy": 1, "guess": 2}


@dataclass(frozen=True)
class RepairPlan:
    """How every expected tensor gets its value, or why it does not.

    Args:
        steps: one per expected tensor that can be restored.
        findings: everything that was found, in the order of the rules.
        applied: the findings whose repairs the steps contain.
        unresolved: the errors that remain; a restore raises `UnrepairableError` if there are any.
        unused: stored keys that no step reads.
        optimizer_reason: why optimizer state is not restored; empty where it is or none exists.
        skipped: names of the model's variables that keep their values, as the caller asked.
    """

    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    applied: tuple[Finding, ...]
    unresolved: tuple[Finding, ...]
    unused: tuple[str, ...]
    optimizer_reason: str = ""
    skipped: tuple[str, ...] = ()

    @property
    def total(self) -> bool:
        """Whether it can be run: no finding is unresolved."""
        return not self.unresolved

    def with_finding(self, finding: Finding | None, *, leave: str = "") -> RepairPlan:
        """The plan with one finding more, if any, and without the step that restores `leave`."""
        left = [step for step in self.steps if step.target == leave]
        return replace(
            self,
            steps=tuple(step for step in self.steps if step.target != leave),
            findings=self.findings if finding is None else (*self.findings, finding),
            unused=(*self.unused, *(source for step in left for source in step.sources)),
        )

    @property
    def summary(self) -> str:
        """How many tensors, repairs and open questions, on one line."""
        changed = [step for step in self.steps if step.ops or step.join]
        return (
            f"{len(self.steps)} tensors to restore, {len(changed)} of them converted, "
            f"{len(self.applied)} repairs, {len(self.unresolved)} unresolved, "
            f"{len(self.unused)} stored tensors unused"
            + (f", {len(self.skipped)} of the model's tensors skipped" if self.skipped else "")
        )

    def __repr__(self) -> str:
        return f"<RepairPlan: {self.summary}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def rows(self) -> list[dict[str, Any]]:
        """One dict per tensor to restore, as `pandas.DataFrame` takes them."""
        return [
            {"target": s.target, "sources": list(s.sources), "ops": [str(op) for op in s.ops]}
            for s in self.steps
        ]

    def __str__(self) -> str:
        repaired = set(self.applied)
        return "\n".join(
            [
                self.summary,
                *(
                    f"  {'repaired' if finding in repaired else finding.severity.value}: {finding}"
                    for finding in self.findings
                ),
                *([f"  skipped: {listed(self.skipped, 20)}"] if self.skipped else ()),
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
            "skipped": list(self.skipped),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> RepairPlan:
        """Law: `RepairPlan.from_dict(p.to_dict()) == p`.

        Raises:
            ArgumentError: it is not what `to_dict` gives.
        """
        try:
            findings = tuple(Finding.from_dict(f) for f in data["findings"])
            return RepairPlan(
                tuple(Step.from_dict(step) for step in data["steps"]),
                findings,
                tuple(findings[i] for i in data["applied"]),
                tuple(findings[i] for i in data["unresolved"]),
                tuple(data["unused"]),
                data["optimizer_reason"],
                tuple(data.get("skipped", ())),
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ArgumentError(f"not a plan as RepairPlan.to_dict() gives it ({what})") from error


def fold(
    rules: Sequence[Rule], draft: Draft, prior: Sequence[Finding], repair: Policy
) -> RepairPlan:
    """Run the rules in order, each on what the repairs before it have made.

    Args:
        rules: in order of repair.
        draft: the tables and the first steps.
        prior: findings from before.
        repair: which repairs may be taken without asking.
    """
    findings = list(prior)
    applied: list[Finding] = []
    unresolved = [f for f in prior if f.severity is Severity.ERROR]
    for rule in rules:
        taken: list[Step] = []
        for finding in rule(draft):
            findings.append(finding)
            if finding.repairs and (
                finding.safety.rank <= _ALLOWED[repair] or finding.severity is Severity.INFO
            ):
                taken += finding.repairs
                applied.append(finding)
            elif finding.severity is Severity.ERROR:
                unresolved.append(finding)
        draft = draft.with_steps(taken) if taken else draft
    used = {source for step in draft.steps.values() for source in step.sources}
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
        draft.optimizers.reason,
    )
