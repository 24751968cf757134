"""The replicas of a variable held different values when it was saved.

What it looks like: the moving mean of a BatchNormalization covers only one replica's share of the
batches.

Why it happens: under MirroredStrategy Keras 3 lets each replica keep its own moving statistics and
saves only the first replica's. Keras 2 saved the mean over replicas.

Source: keras/src/layers/normalization/batch_normalization.py; tensorflow issues 46488, 32653.

When the repair is exact: there is none; the other replicas' values were never written. Use
`BatchNormalization(synchronized=True)`, and train again.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.errors import listed
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG306": "replicas of a variable differed when it was saved"}


def replicas(draft: Draft) -> Iterator[Finding]:
    """Yield one finding if the manifest tells of variables whose replicas differed."""
    environment = draft.manifest.environment if draft.manifest else {}
    apart = environment.get("replicas_apart", {})
    names = [
        f"{name} (apart by up to {apart[name]:.3g})"
        if isinstance(apart.get(name), float)
        else str(name)
        for name in environment.get("unequal_replicas", ())
    ]
    if names:
        yield Finding(
            "KG306",
            "",
            f"{listed(names)}: the {environment.get('replicas')} replicas held "
            "different values when it was saved; the checkpoint has the first replica's",
            Severity.WARNING,
        )
