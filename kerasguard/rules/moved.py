"""A layer's weights are stored under a different key than the format's addressing says.

What it looks like: positions point to one stored layer, names or the graph to another. Stock Keras
loads by position and swaps same-shaped weights (query and key, two branches) silently.

Why it happens: Keras 3 keys weights by class and running number (`layers/dense_1`), so adding,
removing or reordering layers of a class shifts all later ones; legacy HDF5 files go by rank.

Source: keras/src/saving/saving_lib.py, `_save_container_state`; tfjs-converter issue 178.

When the repair is exact: user-given names, or the position in the recorded graph, point to one
stored layer, and no other evidence disagrees.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Step

CODES = {"KG104": "a layer's weights are stored under another key"}

_WHY = {
    "name": "their names agree",
    "graph": "they are at the same position in the graph",
    "shape": "no other pair of layers fits",
}


def moved(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer that is not where the format's addressing puts it."""
    pairing = draft.pairing
    for e, s in pairing.layers.items():
        why = pairing.evidence[e]
        if why not in _WHY or e == s:
            continue
        ours, theirs = pairing.expected[e], pairing.stored[s]
        steps = tuple(
            Step(r.key, (pairing.tensors[r.key],))
            for r in ours.members.values()
            if r.key in pairing.tensors
        )
        yield Finding(
            "KG104",
            e,
            f"{ours.label}: stored as {theirs.label} under {s}, but the format's addressing says "
            f"{e}; taken from {s} because {_WHY[why]}",
            Severity.ERROR,
            steps,
        )
