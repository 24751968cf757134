"""A tensor holds NaN or infinite values.

What it looks like: predictions are NaN after a load that reported nothing.

Why it happens: training diverged before the checkpoint was written, or a cast overflowed.

Source: keras-team/keras issue 2134 and its like; Keras checks no value on loading.

When the repair is exact: there is none. The values are restored as they are, with a warning.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG301": "a tensor holds NaN or infinite values"}


def nonfinite(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per step that reads a tensor with non-finite values."""
    for key, step in draft.steps.items():
        for source in step.sources:
            count = draft.stored.tensors[source].nonfinite
            if count:
                record = draft.expected.tensors[key]
                size = draft.stored.tensors[source].spec.size
                before = draft.recorded(source)
                known = before is not None and before.nonfinite == count
                yield Finding(
                    "KG301",
                    key,
                    f"{record.label}: {count} of {size} values are NaN or infinite"
                    + (", as they were when it was saved" if known else ""),
                    Severity.WARNING,
                )
