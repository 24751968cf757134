"""A stored tensor does not have the expected shape.

What it looks like: (100, 10) is stored, (100, 12) is expected.

Why it happens: the model's code changed (another number of classes, another vocabulary), or the
checkpoint belongs to another model. Stock Keras with `skip_mismatch=True` leaves such layers at
their random initial values.

Source: keras/src/backend/common/variables.py, `assign`.

When the repair is exact: never. Where the element counts agree a reshape is offered as a guess;
`skip=` loads everything else.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity, skipping
from kerasguard.planning.operations import Reshape, Safety

CODES = {"KG203": "a stored tensor has a different shape than expected"}


def shape(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per step whose shape is neither the expected one nor a permutation of it."""
    for key, step in draft.steps.items():
        have, record = draft.after(key), draft.expected.tensors[key]
        want = record.spec
        if have is None or have.shape == want.shape or sorted(have.shape) == sorted(want.shape):
            continue
        fits = have.size == want.size
        yield Finding(
            "KG203",
            key,
            f"{record.label}: shape is {have.shape} at {', '.join(step.sources)}, expected "
            f"{want.shape}; "
            + ("a reshape would fit" if fits else "no repair is known")
            + f"; {skipping(record)} leaves it as it is",
            Severity.ERROR,
            (step.then(Reshape(want.shape)),) if fits else (),
            Safety.GUESS,
        )
