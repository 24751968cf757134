"""A result as text, as JSON, as rows and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasguard.errors import listed
from kerasguard.report.result import Result, Written
from kerasguard.report.words import printable

__all__ = ["SCHEMA", "Report"]

SCHEMA = "kerasguard/report/1"


@dataclass(frozen=True)
class Report(Result):
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


def _told_of(written: Written, *, ok: bool) -> list[str]:
    """Lines on the file that a repair wrote."""
    alone = " with Keras alone" if written.reader == "keras" else ""
    return [
        *([f"  read back{alone}: {written.proof}"] if written.proof else []),
        *(f"  not in the file: {what}" for what in written.lacks),
        *([f"  to load it: {written.call}"] if ok else []),
    ]
