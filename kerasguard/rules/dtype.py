"""A stored tensor does not have the expected dtype.

What it looks like: float64 in the file, float32 in the model. Stock Keras casts silently;
numbers beyond the smaller type become infinite or zero.

Why it happens: `floatx`, the dtype policy or mixed precision differ between writer and reader, or
arrays of another dtype were assigned.

Source: keras/src/backend/common/variables.py, `assign`; float16: NumPy's overflow in cast.

When the repair is exact: the wider type holds every value of the narrower one, or every stored
value survives the cast bit for bit (measured). Otherwise it is lossy, with the largest error.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kerasguard.planning.cast_loss import Loss
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Cast, Safety
from kerasguard.tensors.elements import numpy_dtype

CODES = {"KG202": "a stored tensor has a different dtype than expected"}


def dtype(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per step whose dtype differs from the expected one."""
    for key, step in draft.steps.items():
        have, record = draft.after(key), draft.expected.tensors[key]
        if have is None or have.dtype == record.spec.dtype:
            continue
        want = record.spec.dtype
        loss = None
        safety = Safety.EXACT if _widens(have.dtype, want) else Safety.LOSSY
        if safety is Safety.LOSSY and draft.loss is not None:
            loss = draft.loss(step, want)
            safety = Safety.EXACT if loss.none else Safety.LOSSY
        # Keras has changed the dtype of its seeds: no choice of the caller's, and nothing is lost.
        own = record.role == "seed" and safety is Safety.EXACT
        yield Finding(
            "KG202",
            key,
            f"{record.label}: dtype is {have.dtype}, expected {want}; "
            f"{_describe(want, safety, loss)}",
            Severity.INFO if own else Severity.ERROR,
            (step.then(Cast(want)),),
            safety,
        )


def _describe(want: str, safety: Safety, loss: Loss | None) -> str:
    if safety is Safety.EXACT:
        return "cast, every value survives"
    if loss is None:
        return 'a cast would lose precision; repair="lossy" allows it'
    text = f"a cast rounds by up to {loss.error:.3g} (largest value {loss.largest:.3g})"
    if loss.overflows:
        whole = numpy_dtype(want).kind in "iub" or "int" in want
        text += f", {loss.overflows} values {'do not fit' if whole else 'become infinite'}"
    if loss.flushed:
        text += f", {loss.flushed} become zero"
    return text + '; repair="lossy" does it'


def _widens(have: str, want: str) -> bool:
    """Whether every value of `have` is one of `want`."""
    a, b = numpy_dtype(have), numpy_dtype(want)
    if have == "bfloat16":
        return want in ("float32", "float64")
    if "float8" in have:
        return want in ("float16", "bfloat16", "float32", "float64")
    if a.kind == "V" or b.kind == "V" or want == "bfloat16" or "float8" in want:
        return False  # measured; ml_dtypes calls int8 into float8_e5m2 safe
    return bool(np.can_cast(a, b, casting="safe"))
