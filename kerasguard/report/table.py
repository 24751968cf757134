"""The tensors of a report as rows, and rows of repeated blocks folded into one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kerasguard.planning.findings import Finding, Severity

if TYPE_CHECKING:
    from kerasguard.report.result import Outcome, Result
    from kerasguard.report.statistics import Statistics

__all__ = ["Fold", "Row", "count_by_status", "folded", "rows"]

# So few blocks are read faster one by one.
_FOLD_FROM = 3
_TROUBLE = ("differs", "unresolved", "warning")


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor.

    Args:
        tensor: the variable's path, `head/kernel`; the key where nobody knows it.
        status: `as recorded`, `proven`, `restored`, `readable`, `differs`, `warning`, ...
        shape: of the stored tensor.
        dtype: likewise.
        role: `weight`, `optimizer`, ...
        key: in the checkpoint.
        digest: of the bytes; empty where nobody knows it.
        nonfinite: NaN and infinite elements; None where unknown.
        codes: of the findings about it.
        statistics: of its values, where they were asked for.
    """

    tensor: str
    status: str
    shape: tuple[int, ...]
    dtype: str
    role: str
    key: str
    digest: str
    nonfinite: int | None
    codes: tuple[str, ...] = ()
    statistics: Statistics | None = None

    @property
    def troubled(self) -> bool:
        """Whether it has to be seen."""
        return self.status in _TROUBLE or bool(self.nonfinite)

    def to_dict(self) -> dict[str, Any]:
        """Flat, without the histogram."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        told.pop("statistics")
        values = self.statistics.to_dict() if self.statistics else {}
        values.pop("histogram", None)
        return {**told, "shape": list(self.shape), "codes": list(self.codes), **values}


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows that differ in the numbers of their names only; `name` has `{1..12}` in their place."""

    name: str
    rows: tuple[Row, ...]

    @property
    def as_row(self) -> Row:
        """What they have in common, and the statistics of all their values."""
        from kerasguard.report.statistics import pooled

        known = [row.statistics for row in self.rows if row.statistics is not None]
        counts = [row.nonfinite for row in self.rows if row.nonfinite is not None]
        return replace(
            self.rows[0],
            tensor=self.name,
            nonfinite=sum(counts) if len(counts) == len(self.rows) else None,
            statistics=pooled(known) if known else None,
        )


def rows(report: Result) -> list[Row]:
    """The rows of a report, in the checkpoint's order, those with trouble first."""
    findings: dict[str, list[Finding]] = {}
    for finding in report.findings:
        findings.setdefault(finding.key, []).append(finding)
    outcomes = {o.source: o for o in report.outcomes}
    made = []
    for record in report.records:
        about = findings.get(record.key, [])
        values = report.statistics.get(record.key)
        made.append(
            Row(
                record.label,
                _status(report, about, outcomes.get(record.key)),
                tuple(record.spec.shape),
                record.spec.dtype,
                record.role,
                record.key,
                record.digest or "",
                record.nonfinite if values is None else values.nan + values.infinite,
                tuple(dict.fromkeys(f.code for f in about)),
                values,
            )
        )
    return sorted(made, key=lambda row: not row.troubled)


def _status(report: Result, about: Iterable[Finding], outcome: Outcome | None) -> str:
    severities = {finding.severity for finding in about}
    if any(finding in report.unresolved for finding in about):
        return "differs" if report.action == "verify" else "unresolved"
    if outcome is not None:
        return {True: "proven", False: "differs", None: "restored"}[outcome.proven]
    if Severity.WARNING in severities:
        return "warning"
    if report.action == "verify" and report.origin == "recorded":
        return "as recorded"
    return "recorded" if report.action == "record" else "readable"


def folded(table: Iterable[Row]) -> list[Row | Fold]:
    """Rows with those of repeated blocks as one, at the place of the first; trouble stays apart."""
    groups: dict[object, list[Row]] = {}
    for row in table:
        pattern = row.key if row.troubled else re.sub(r"\d+", "#", row.tensor)
        groups.setdefault((pattern, row.troubled, row.status, row.shape, row.dtype), []).append(row)
    found: list[Row | Fold] = []
    for group in groups.values():
        if len(group) < _FOLD_FROM:
            found += group
        else:
            found.append(Fold(_common([row.tensor for row in group]), tuple(group)))
    return found


def _common(names: list[str]) -> str:
    parts = [re.split(r"(\d+)", name) for name in names]
    return "".join(
        column[0] if len(set(column)) == 1 else "{" + _numbers(column) + "}"
        for column in map(list, zip(*parts, strict=True))
    )


def _numbers(texts: Iterable[str]) -> str:
    numbers = sorted({int(text) for text in texts})
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}..{numbers[-1]}"
    shown = ",".join(map(str, numbers[:4]))
    return shown if len(numbers) <= 4 else f"{shown},..{numbers[-1]}"


def count_by_status(table: Iterable[Row]) -> Mapping[str, int]:
    """How many rows have each status, in the order of their first."""
    counts: dict[str, int] = {}
    for row in table:
        counts[row.status] = counts.get(row.status, 0) + 1
    return counts
