"""The report as one HTML page: the verdict, what to do, findings, then every tensor.

Self-contained and without JavaScript, so that it opens in MLflow's frame, in a mail and from a
disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from kerasguard.report.result import Result
from kerasguard.report.table import count_by_status, folded, rows
from kerasguard.report.templates import Paths, template

__all__ = ["fragment", "page"]

_PARTS_OF_A_VERSION = ("kerasguard", "keras", "tensorflow", "numpy", "h5py", "python", "backend")


def page(report: Result, *, paths: bool = False) -> str:
    """The whole page.

    Args:
        report: of a verification, a dry run, a restore or a repair.
        paths: name folders of this machine; else every path is shortened to its last part.
    """
    return template("page.html").render(_content(report, paths=paths))


def fragment(report: Result) -> str:
    """Verdict, advice and findings, for a notebook's cell."""
    return template("fragment.html").render(_content(report, paths=False))


def _content(report: Result, *, paths: bool) -> dict[str, Any]:
    table = rows(report)
    shown = Paths(report.path, keep=paths)
    findings = sorted(report.findings, key=lambda f: f not in report.unresolved)
    return {
        "report": report,
        "title": shown(report.summary),
        "name": shown(report.path),
        "verdict": shown(report.verdict),
        "state": "bad" if not report.ok else "ok" if report.origin == "recorded" else "open",
        "advice": [shown(line) for line in _advice(report)],
        "findings": [(f, shown(f.message), f in report.unresolved) for f in findings],
        "codes": list(dict.fromkeys(f.code for f in findings)),
        "table": folded(table),
        "statuses": count_by_status(table),
        "size": sum(record.spec.nbytes for record in report.records),
        "measured": any(row.statistics for row in table),
        "versions": _versions(report),
        "command": shown(_command(report)),
        "notes": [(o.target, o.note) for o in report.outcomes if o.note],
        "shown": shown,
    }


def _advice(report: Result) -> Iterable[str]:
    """What the reader can do now."""
    if report.action == "verify":
        if not report.ok:
            yield "The file changed after it was recorded: restore it from a copy or save it again."
            yield (
                'To load it anyway: kerasguard.load(path, manifest="ignore"); '
                "nothing is proven then."
            )
        elif report.origin == "unrecorded":
            yield (
                "Nobody recorded it. If you know it to be right, record it as it is: "
                "kerasguard.record(path). From then on every load verifies it."
            )
        else:
            yield f'Load it: kerasguard.load("{report.path}")'
    elif report.action == "record":
        yield f'Load and verify it: kerasguard.load("{report.path}")'
    elif report.unresolved:
        safeties = {f.safety.value for f in report.unresolved if f.repairs}
        for safety in sorted(safeties - {"exact"}):
            yield f'To allow {safety} repairs: repair="{safety}"'
        yield "What a code means and how to resolve it: kerasguard explain CODE"
    elif report.action == "plan":
        yield f'Ready to load: kerasguard.load("{report.path}")'
    elif report.written is not None and report.written.checkpoint_id:
        alone = " with Keras alone" if report.written.reader == "keras" else ""
        yield f"Load it{alone}: {report.written.call}"
    yield from report.blocked


def _command(report: Result) -> str:
    path = report.path if re.fullmatch(r"[\w@%+=:,./-]+", report.path) else f"'{report.path}'"
    if report.action == "restore":
        return f'python -c "import kerasguard; print(kerasguard.restore({path!r}).report)"'
    if report.action == "record":
        return f"kerasguard inspect {path}"
    out = " OUT.keras" if report.action == "repair" else ""
    return f"kerasguard {report.action} {path}{out}"


def _versions(report: Result) -> str:
    known = {k: v for k, v in report.versions.items() if k != "format" and v}
    first = [name for name in _PARTS_OF_A_VERSION if name in known]
    names = [*first, *sorted(set(known) - set(first))]
    return ", ".join(f"{name} {known[name]}" for name in names)
