"""A layer of the model has no weights yet, and the checkpoint has some for it.

What it looks like: the load succeeds, and the layer makes itself random weights at the first call.

Why it happens: a class of the user's own builds its layers when it is called, and the model was
only given its input's shape. Keras notes the failure for one path to the layer and forgets it when
it finds nothing to do under another.

Source: keras/src/saving/saving_lib.py, `_load_state`; keras issues 18823, 18875.

When the repair is exact: the model is called once on zeros of the recorded shape, which builds it
before the tables are compared; the finding says that this was not possible. Call the model on data.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG112": "a layer was never built, so its stored weights have no place"}


def unbuilt(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per unbuilt layer, if there are stored weights that no step reads."""
    if not draft.unbuilt:
        return
    used = draft.used()
    left = [k for k, r in draft.stored.tensors.items() if r.role == "weight" and k not in used]
    for name in draft.unbuilt if left else ():
        yield Finding(
            "KG112",
            name,
            f"{name}: was never built and has no weights, while {len(left)} stored weights have no "
            f"place ({left[0]}); call the model on data before it is loaded",
            Severity.ERROR,
        )
