"""The templates beside this file, and how they write names, numbers, sizes and drawings.

Jinja escapes whatever comes from a checkpoint.
"""

from __future__ import annotations

import re
from functools import cache

import jinja2
from markupsafe import Markup

from kerasguard.report.statistics import Statistics
from kerasguard.report.table import Fold, Row
from kerasguard.report.words import printable

__all__ = ["Paths", "template"]

_BETWEEN_WORDS = re.compile(r"(?<=[/._-])")


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


def template(name: str) -> jinja2.Template:
    """One of the templates beside this file."""
    return _environment().get_template(name)


class Paths:
    """Text without the folder that the checkpoint lies in, which is nobody else's business."""

    def __init__(self, path: str, *, keep: bool) -> None:
        folder = re.sub(r"[/\\]?[^/\\]*$", "", path)
        address = "://" in path or path.startswith(("runs:/", "models:/"))
        # As a word only: `.` and `/` stand in many other places.
        known = len(folder) > 1 and not address and not keep
        self._folder = re.compile(re.escape(folder) + r"[/\\\\]+") if known else None
        self._home = None if keep else re.compile(r"(?:/home/|/Users/|/root(?=/))[^/\s:'\"]*")

    def __call__(self, text: object) -> str:
        """The text, shortened."""
        found = str(text)
        if self._folder is not None:
            found = self._folder.sub("", found)
        return self._home.sub("~", found) if self._home is not None else found


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
