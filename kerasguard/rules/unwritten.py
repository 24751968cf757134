"""A variable that the model had and Keras did not write.

What it looks like: the manifest lists more variables than the checkpoint holds.

Why it happens: Keras finds sublayers by attributes and lists, tuples and dicts; layers in a set,
or in an attribute that every Layer has (`self._layers`), and seed generators are not written.

Source: keras/src/saving/saving_lib.py, `_walk_saveable`; keras issues 20260, 19796.

When the repair is exact: there is none from the checkpoint alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.draft import Draft
from kerasguard.findings import Finding, Severity

CODES = {"KG106": "a variable that Keras did not write when the model was saved"}


def unwritten(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per weight that the manifest lists as unwritten, and one for the rest."""
    records = draft.manifest.unwritten if draft.manifest else ()
    for record in records:
        if record.role == "weight":
            yield Finding(
                "KG106",
                record.key or record.name,
                f"{record.label}: {record.spec} was not written by Keras when the model was saved; "
                "hold its layer in an attribute, list, tuple or dict and save again",
                Severity.ERROR,
            )
    rest = [record.label for record in records if record.role != "weight"]
    if rest:
        more = f" and {len(rest) - 4} more" if len(rest) > 4 else ""
        yield Finding(
            "KG106",
            "",
            f"{len(rest)} states that Keras never writes start afresh: {', '.join(rest[:4])}{more}",
            Severity.INFO,
        )
