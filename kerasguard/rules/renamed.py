"""A layer has a different name than when it was saved.

What it looks like: the weights are where the format puts them and fit, but the stored layer is
called `head` and the expected one `output`.

Why it happens: a layer was renamed between saving and loading. Keras 3 stores each layer's name
in the HDF5 attributes and never reads it; legacy `by_name=True` then loads nothing at all.

Source: keras/src/saving/saving_lib.py, `_save_state` (metadata); keras issue 5397.

When the repair is exact: always; the finding is for information only. A name that matches elsewhere
is KG104.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.identity.units import units
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import auto_named

CODES = {"KG103": "a layer has a different name than when it was saved"}


def renamed(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer whose user-given name differs from the stored one."""
    pairing, written = draft.pairing, units(draft.stored)
    for e, s in pairing.layers.items():
        ours, theirs = pairing.expected[e], pairing.stored[s]
        if not ours.name or not theirs.name or ours.name == theirs.name:
            continue
        # dense_3 and dense: Keras counts up within a process. Not every file tells the class.
        if ours.weak and (theirs.weak or auto_named(theirs.name, ours.kind)):
            continue
        why = {
            "renames": "as renames= says",
            "address": "it is at the position that the format gives, and nothing contradicts that",
            "shape": "no other pair of layers fits",
        }.get(pairing.evidence[e], "the graph says so")
        yield Finding(
            "KG103",
            e,
            f"{ours.label}: was called {written[s].label} when it was saved; accepted: {why}",
            Severity.INFO,
        )
