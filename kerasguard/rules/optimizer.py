"""Optimizer state that is in the checkpoint and cannot be restored, or the other way round.

What it looks like: training resumes with fresh moments; the loss jumps.

Why it happens: another optimizer class, another number of slots (AMSGrad switched on, Keras 2's
nine Adam variables against Keras 3's ten), or layers that moved while the slots name no weight.

Source: keras/src/optimizers/base_optimizer.py, `load_own_variables` compares counts only.

When the repair is exact: slots are paired by name and weight, the whole state or none of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG108": "optimizer state is not restored"}


def optimizer(draft: Draft) -> Iterator[Finding]:
    """Yield one finding if the optimizer's state is left out."""
    expected = [k for k, r in draft.expected.tensors.items() if r.role == "optimizer"]
    stored = [k for k, r in draft.stored.tensors.items() if r.role == "optimizer"]
    reason = draft.optimizer_reason
    if not reason and len(expected) > 2 and not stored:
        reason = "the checkpoint holds none"
    if not reason and stored and not expected:
        yield Finding(
            "KG108",
            "optimizer",
            f"optimizer: {len(stored)} stored tensors are not restored: the model has no optimizer "
            "(load with compile=True, or compile the model first)",
            Severity.INFO,
        )
    elif reason:
        yield Finding(
            "KG108",
            "optimizer",
            f"optimizer: its state is not restored: {reason}; training starts with fresh state",
            Severity.WARNING,
        )
