"""What a verification, a dry run or a restore came to: the facts, before anybody shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kerasguard.planning.findings import Finding, Severity
from kerasguard.report.words import counted

if TYPE_CHECKING:
    from kerasguard.planning.plan import RepairPlan
    from kerasguard.report.statistics import Statistics
    from kerasguard.tensors import TensorRecord

__all__ = ["Outcome", "Result", "Written"]

Action = Literal["record", "verify", "plan", "restore", "repair"]
Origin = Literal["recorded", "unrecorded"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one tensor.

    Args:
        target: key in the model.
        source: the stored keys it was made from, joined by ` + `.
        digest: of the bytes that the model holds now.
        proven: whether that digest is the recorded one; None where nothing was recorded, or where
            a repair changed the bytes so that no recorded digest applies.
        note: what was done on the way, empty for a plain copy.
    """

    target: str
    source: str
    digest: str
    proven: bool | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Written:
    """The checkpoint that a repair writes, or would.

    Args:
        path: of the new file.
        needs: names of classes and functions that Keras must be told in `custom_objects`.
        checkpoint_id: of its manifest; empty as long as nothing was written.
        proof: how it was compared with the model that was restored.
        lacks: what of the model such a file cannot hold, and where it is instead.
        line: of Python that loads it, with `{path}` and `{more}` to fill in.
        reader: who read it back: `keras`, or `kerasguard` where Keras has no reader for it.
    """

    path: str
    needs: tuple[str, ...] = ()
    checkpoint_id: str = ""
    proof: str = ""
    lacks: tuple[str, ...] = ()
    line: str = 'keras.saving.load_model("{path}"{more})'
    reader: str = "keras"

    @property
    def call(self) -> str:
        """The line that loads it."""
        entries = ", ".join(f'"{name}": {name.rpartition(">")[2]}' for name in self.needs)
        more = f", custom_objects={{{entries}}}" if entries else ""
        return self.line.format(path=self.path, more=more)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "line"}
        lists = {"needs": list(self.needs), "lacks": list(self.lacks)}
        return {**told, **lists, "call": self.call}


@dataclass(frozen=True)
class Result:
    """What was compared, what was found, what was done; `Report` documents the fields."""

    action: Action
    path: str
    format: str
    findings: tuple[Finding, ...] = ()
    plan: RepairPlan | None = None
    outcomes: tuple[Outcome, ...] = ()
    origin: Origin = "unrecorded"
    checkpoint_id: str = ""
    replicas: int = 1
    optimizer: str = "none"
    versions: Mapping[str, str] = field(default_factory=dict)
    written: Written | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    blocked: tuple[str, ...] = ()
    records: tuple[TensorRecord, ...] = ()
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    caveat: str = ""

    @property
    def unresolved(self) -> tuple[Finding, ...]:
        """The findings that block it: the plan's, or every error of a verification."""
        if self.plan is not None:
            return self.plan.unresolved
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def ok(self) -> bool:
        """Whether nothing blocks it; a checkpoint without a manifest can be ok."""
        return not self.unresolved and not self.blocked

    @property
    def proven(self) -> int:
        """Number of tensors whose bytes in the model have the recorded digest."""
        return sum(outcome.proven is True for outcome in self.outcomes)

    @property
    def summary(self) -> str:
        """One line: the verdict and how it is known."""
        return f"{self.path} ({self.format}): {self.verdict}"

    @property
    def verdict(self) -> str:
        """The summary without the checkpoint's name."""
        bad, count = len(self.unresolved), len(self.outcomes)
        if self.action == "verify":
            if self.origin == "unrecorded":
                return "readable; no manifest to verify it against"
            return f"differs from its manifest in {counted(bad, 'place')}" if bad else "as recorded"
        if self.action == "record":
            return "recorded"
        if self.action == "repair":
            return self._repaired()
        if bad:
            return f"not restored, {counted(bad, 'finding')} unresolved; the model was not changed"
        if self.action == "plan":
            return f"can be restored, {counted(len(self.plan.steps) if self.plan else 0, 'tensor')}"
        known = "no manifest"
        if self.origin == "recorded":
            known = f"{self.proven} proven by the manifest"
        kept = len(self.plan.skipped) if self.plan else 0
        skipped = f", {kept} of the model's tensors skipped" if kept else ""
        return f"restored, {counted(count, 'tensor')}, {known}{skipped}"

    def _repaired(self) -> str:
        bad, count = len(self.unresolved), len(self.plan.steps) if self.plan else 0
        if bad:
            return f"not repaired, {counted(bad, 'finding')} unresolved; nothing was written"
        if self.blocked:
            return "not repaired, Keras alone could not load the result; nothing was written"
        if self.written is None or not self.written.checkpoint_id:
            return f"can be repaired, {counted(count, 'tensor')}; nothing was written"
        return f"repaired, {counted(count, 'tensor')}, written to {self.written.path}"
