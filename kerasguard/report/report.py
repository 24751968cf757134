"""What a verification, a dry run or a restore came to: as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kerasguard.errors import listed
from kerasguard.planning.findings import Finding, Severity

if TYPE_CHECKING:
    from kerasguard.planning.plan import RepairPlan
    from kerasguard.report.statistics import Statistics
    from kerasguard.tensors import TensorRecord

__all__ = ["SCHEMA", "Outcome", "Report", "Written", "counted", "printable"]

SCHEMA = "kerasguard/report/1"
Action = Literal["record", "verify", "plan", "restore", "repair"]
Origin = Literal["recorded", "unrecorded"]


def printable(text: object) -> str:
    """`text` with everything that a terminal would act on written as an escape; newlines stay."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
        for c in str(text)
    )


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
class Report:
    """What was compared, what was found, what was done.

    Args:
        action: what was asked: `verify` compares a file with its manifest and has no plan, `record`
            shows what the manifest of a save holds.
        path: the checkpoint, as the caller named it.
        format: of the checkpoint, `keras_zip`.
        findings: all of them, settled or not.
        plan: of a dry run or a restore.
        outcomes: of a restore, one per tensor that was assigned.
        origin: whether there was a manifest to verify against.
        checkpoint_id: the manifest's; empty without one.
        replicas: how many copies of the weights were compared after assigning.
        optimizer: `restored`, `not restored: <why>` or `none`.
        versions: of the writer, as far as the checkpoint says.
        written: of a repair, what it writes.
        evidence: of a repair, why the change behind each code is right.
        caveat: of a restore, what it could not promise.
        blocked: of a repair, why it cannot write a file that plain Keras loads.
        records: the tensors that the checkpoint holds, for the table of the page.
        statistics: of their values by key, where they were asked for.
    """

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

    @property
    def text(self) -> str:
        """The summary, then a line per finding and per fact worth a line."""
        lines = [self.summary, *(f"  {finding}" for finding in self.findings)]
        if self.plan is not None and self.plan.skipped:
            lines.append(f"  skipped: {listed(self.plan.skipped, 20)}")
        if self.replicas > 1:
            lines.append(f"  {self.replicas} replicas hold the same bytes")
        if self.optimizer not in ("none", "" if self.action == "repair" else "restored"):
            lines.append(f"  optimizer {self.optimizer}")
        lines += [f"  {o.target}: {o.note}" for o in self.outcomes if o.note]
        lines += [f"  {reason}" for reason in (*self.blocked, self.caveat) if reason]
        lines += [f"  {code} is exact: {text}" for code, text in self.evidence.items()]
        if self.written is not None:
            lines += _told_of(self.written, ok=self.ok)
        return printable("\n".join(lines))

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """JSON form; every value is a str, int, bool, None, list or dict."""
        return {
            "schema": SCHEMA,
            "action": self.action,
            "path": self.path,
            "format": self.format,
            "ok": self.ok,
            "origin": self.origin,
            "checkpoint_id": self.checkpoint_id,
            "findings": [finding.to_dict() for finding in self.findings],
            "unresolved": [finding.to_dict() for finding in self.unresolved],
            "plan": None if self.plan is None else self.plan.to_dict(),
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
            "replicas": self.replicas,
            "optimizer": self.optimizer,
            "versions": dict(self.versions),
            "written": None if self.written is None else self.written.to_dict(),
            "evidence": dict(self.evidence),
            "blocked": list(self.blocked),
            "caveat": self.caveat,
        }

    @property
    def html(self) -> str:
        """A self-contained page without scripts; it names no folder of this machine."""
        from kerasguard.report.page import page

        return page(self)

    def rows(self) -> list[dict[str, Any]]:
        """One dict per tensor, as `pandas.DataFrame` takes them: status, shape, statistics."""
        from kerasguard.report.table import rows

        return [row.to_dict() for row in rows(self)]

    def __repr__(self) -> str:
        return f"<Report {printable(self.summary)}>"

    def _repr_html_(self) -> str:
        from kerasguard.report.page import fragment

        return fragment(self)


def counted(number: int, noun: str) -> str:
    """`1 place`, `2 places`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _told_of(written: Written, *, ok: bool) -> list[str]:
    """Lines on the file that a repair wrote."""
    alone = " with Keras alone" if written.reader == "keras" else ""
    return [
        *([f"  read back{alone}: {written.proof}"] if written.proof else []),
        *(f"  not in the file: {what}" for what in written.lacks),
        *([f"  to load it: {written.call}"] if ok else []),
    ]
