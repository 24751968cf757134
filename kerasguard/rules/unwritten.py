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
    """Yield a finding per variable that the manifest lists as unwritten."""
    for record in draft.manifest.unwritten if draft.manifest else ():
        seed = record.role in ("seed", "metric")
        yield Finding(
            "KG106",
            record.key or record.name,
            f"{record.label}: {record.spec} was not written by Keras when the model was saved and "
            "keeps its fresh value"
            + ("" if seed else "; hold the sublayer in an attribute, list or dict and save again"),
            Severity.INFO if seed else Severity.ERROR,
        )
