"""A layer was built on one side only: now, or when the model was saved.

What it looks like: the load succeeds, and the layer creates random weights at its first call; or it
already has weights, and the checkpoint has none for it.

Why it happens: a user-defined class builds its layers when it is called, but the model was only
given its input shape, or was saved before part of it had been called. Keras records the failure
under one path to the layer and drops it when it finds nothing to do under another.

Source: keras/src/saving/saving_lib.py, `_load_state`; keras issues 18823, 18875.

When the repair is exact: the model is called once on zeros of the recorded shape, which builds it
before the tables are compared; this finding means that this was not possible. Call the model on
data. A layer that was never built when the model was saved has nothing to restore.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.identity.counterparts import never_built
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG112": "a layer was built on one side only"}


def unbuilt(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer that only one side built, where that side has weights of it."""
    yield from _built_since(draft)
    if not draft.unbuilt:
        return
    used = draft.used()
    left = [k for k, r in draft.stored.tensors.items() if r.role == "weight" and k not in used]
    for name in draft.unbuilt if left else ():
        yield Finding(
            "KG112",
            name,
            f"{name}: was never built and has no weights, while {len(left)} stored weights match "
            f"nothing ({left[0]}); call the model on data before loading",
            Severity.ERROR,
        )


def _built_since(draft: Draft) -> Iterator[Finding]:
    """Layers that had no weights when they were saved, and have some now."""
    filled: dict[str, int] = {}
    since = never_built(draft.expected, draft.stored, draft.pairing.layers)
    for record in draft.expected.tensors.values() if since else ():
        if record.role == "weight" and record.key not in draft.steps and record.layer in since:
            filled[record.layer] = filled.get(record.layer, 0) + 1
    for key, count in filled.items():
        yield Finding(
            "KG112",
            key,
            f"{draft.expected.layers[key].name}: was never built when the model was saved, so the "
            f"checkpoint has nothing for the {count} weights that it has now; they keep their "
            "values",
            Severity.WARNING,
        )
