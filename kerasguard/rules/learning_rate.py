"""The checkpoint's learning rate differs from the compiled model's.

What it looks like: `load_weights` on a model that was just compiled replaces the new learning rate
with the old one, or a resumed training starts again with the initial one.

Why it happens: the learning rate is a variable of the optimizer, saved and loaded with its state.

Source: keras/src/optimizers/base_optimizer.py; measured on Keras 3.15.1.

When the repair is exact: nothing is repaired; the caller chooses. A model that the caller compiled
keeps its rate, a model built from the checkpoint gets the stored one; `learning_rate=` says so.
"""

from __future__ import annotations

from kerasguard.planning.findings import Finding, Severity

CODES = {"KG110": "the stored learning rate is not the compiled one"}


def learning_rate(
    key: str, stored: float, compiled: float, *, keeps: bool, label: str = "learning rate"
) -> Finding:
    """The finding that tells which of two different rates the model has.

    Args:
        key: of the optimizer's tensor.
        stored: in the checkpoint.
        compiled: in the model before.
        keeps: whether the model keeps the compiled one.
        label: what a person calls it.
    """
    has, verb, other, choice = stored, "took the stored", compiled, "compiled"
    if keeps:
        has, verb, other, choice = compiled, "kept the compiled", stored, "stored"
    message = (
        f"{label}: {verb} {has:.6g} ({choice}: {other:.6g}); pass "
        f'learning_rate="{choice}" for the {choice} one'
    )
    return Finding("KG110", key, message, Severity.INFO)
