"""The report as one HTML page: the verdict, what to do, findings, then every tensor.

Self-contained and without JavaScript, so that it opens in MLflow's frame, in a mail and from a
disk. Jinja escapes whatever comes from a checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from kerasguard.manifest import Manifest
from kerasguard.report.report import Report, printable
from kerasguard.report.statistics import Statistics
from kerasguard.report.table import Fold, Row, count_by_status, folded, rows

__all__ = ["fragment", "page", "report_of_save"]

_BETWEEN_WORDS = re.compile(r"(?<=[/._-])")
_PARTS_OF_A_VERSION = ("kerasguard", "keras", "tensorflow", "numpy", "h5py", "python", "backend")


def page(report: Report, *, paths: bool = False) -> str:
    """The whole page.

    Args:
        report: of a verification, a dry run, a restore or a repair.
        paths: name folders of this machine; else every path is shortened to its last part.
    """
    return _template("page.html").render(_content(report, paths=paths))


def fragment(report: Report) -> str:
    """Verdict, advice and findings, for a notebook's cell."""
    return _template("fragment.html").render(_content(report, paths=False))


def report_of_save(name: str, manifest: Manifest) -> Report:
    """What is known of a checkpoint at the moment when it was recorded, as a report."""
    return Report(
        "record",
        name,
        manifest.format,
        origin="recorded",
        checkpoint_id=manifest.checkpoint_id,
        versions={"format": manifest.format, **manifest.versions},
        records=tuple(manifest.recorded.values()),
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kerasguard.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if hasattr(value, "__html__") else printable(value),
    )
    environment.filters.update(
        breakable=_breakable, number=_number, percent=_percent, bars=_bars, size=_size
    )
    environment.globals["status_class"] = _status_class
    environment.tests["fold"] = lambda item: isinstance(item, Fold)
    return environment


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


def _content(report: Report, *, paths: bool) -> dict[str, Any]:
    table = rows(report)
    shown = _Paths(report.path, keep=paths)
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


class _Paths:
    """Text without the folder that the checkpoint lies in, which is nobody else's business."""

    def __init__(self, path: str, *, keep: bool) -> None:
        folder = re.sub(r"[/\\]?[^/\\]*$", "", path)
        address = "://" in path or path.startswith(("runs:/", "models:/"))
        # As a word only: `.` and `/` stand in many other places.
        known = len(folder) > 1 and not address and not keep
        self._folder = re.compile(re.escape(folder) + r"[/\\\\]+") if known else None
        self._home = None if keep else re.compile(r"(?:/home/|/Users/|/root(?=/))[^/\s:'\"]*")

    def __call__(self, text: object) -> str:
        found = str(text)
        if self._folder is not None:
            found = self._folder.sub("", found)
        return self._home.sub("~", found) if self._home is not None else found


def _advice(report: Report) -> Iterable[str]:
    """What the reader can do now."""
    if report.action == "verify":
        if not report.ok:
            yield "The file changed after it was recorded: take it from a copy or save it again."
            yield (
                'To load what is there all the same: kerasguard.load(path, manifest="ignore"); '
                "nothing is proven then."
            )
        elif report.origin == "unrecorded":
            yield (
                "Nobody recorded it. If you know it to be right, record it as it is: "
                "kerasguard.record(path). From then on every load compares it."
            )
        else:
            yield f'Load it: kerasguard.load("{report.path}")'
    elif report.action == "record":
        yield f'Load it, compared with its manifest: kerasguard.load("{report.path}")'
    elif report.unresolved:
        safeties = {f.safety.value for f in report.unresolved if f.repairs}
        for safety in sorted(safeties - {"exact"}):
            yield f'To allow {safety} repairs: repair="{safety}"'
        yield "What a code means, and what settles it: kerasguard explain CODE"
    elif report.action == "plan":
        yield f'Nothing stands in the way: kerasguard.load("{report.path}")'
    elif report.written is not None and report.written.checkpoint_id:
        alone = " with Keras alone" if report.written.reader == "keras" else ""
        yield f"Load it{alone}: {report.written.call}"
    yield from report.blocked


def _command(report: Report) -> str:
    path = report.path if re.fullmatch(r"[\w@%+=:,./-]+", report.path) else f"'{report.path}'"
    if report.action == "restore":
        return f'python -c "import kerasguard; print(kerasguard.restore({path!r}).report)"'
    if report.action == "record":
        return f"kerasguard inspect {path}"
    out = " OUT.keras" if report.action == "repair" else ""
    return f"kerasguard {report.action} {path}{out}"


def _versions(report: Report) -> str:
    known = {k: v for k, v in report.versions.items() if k != "format" and v}
    first = [name for name in _PARTS_OF_A_VERSION if name in known]
    names = [*first, *sorted(set(known) - set(first))]
    return ", ".join(f"{name} {known[name]}" for name in names)


def _breakable(name: str) -> Markup:
    """A name that may be broken after a slash, a dot or a dash, and nowhere in a word."""
    return Markup("<wbr>").join(_BETWEEN_WORDS.split(printable(name)))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    digits, exponent, power = f"{value:.3g}".partition("e")
    return (
        f"{digits}e{int(power)}".replace("-", "\u2212")
        if exponent
        else digits.replace("-", "\u2212")
    )


def _percent(part: int, whole: int) -> str:
    if not part:
        return "0"
    share = 100 * part / whole
    return f"{share:.3g} %" if share >= 0.1 else "< 0.1 %"


def _size(nbytes: int) -> str:
    amount, unit = float(nbytes), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.3g} {unit}"


def _bars(statistics: Statistics) -> list[tuple[int, float, float]]:
    """The histogram as bars of a drawing that is 24 high: x, y and height of each."""
    most = max(statistics.histogram, default=0)
    heights = [24 * count / most for count in statistics.histogram if most]
    # A few elements far out are what one looks for: they get a line of their own.
    visible = [max(height, 1.5) if height else 0.0 for height in heights]
    return [(4 * i, round(24 - h, 1), round(h, 1)) for i, h in enumerate(visible) if h]


def _status_class(row: Row) -> str:
    """The colour of a row's pill."""
    if row.status in ("differs", "unresolved"):
        return "bad"
    return (
        "warn"
        if row.troubled
        else "ok"
        if row.status in ("as recorded", "proven", "recorded")
        else "plain"
    )
