"""The optimizer keeps moving averages of the weights, and the checkpoint holds the raw ones.

What it looks like: a model trained with `use_ema=True` predicts differently after a load than at
the end of `fit`, which replaces the weights with the averages.

Why it happens: `ModelCheckpoint` saves during `fit`, when the weights are still the raw ones; the
averages are part of the optimizer's state.

Source: keras/src/optimizers/base_optimizer.py, `finalize_variable_values`.

When the repair is exact: nothing is repaired; both are restored as they were saved, and the caller
chooses which to use.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import TensorRecord

CODES = {"KG111": "the averaged weights are in the optimizer's state"}


def averaged(draft: Draft) -> Iterator[Finding]:
    """Yield one finding if the checkpoint holds moving averages of the weights."""
    wanted = {k for k, r in draft.expected.tensors.items() if _is_average(r)}
    known = any(_is_average(r) for r in draft.stored.tensors.values())
    if wanted & draft.steps.keys():
        yield Finding(
            "KG111",
            "optimizer",
            "optimizer: holds moving averages (use_ema) beside the weights; "
            "model.optimizer.finalize_variable_values(model.trainable_variables) takes the "
            "averages, unless SwapEMAWeights had exchanged both when the model was saved",
            Severity.INFO,
        )
    elif known:
        yield Finding(
            "KG111",
            "optimizer",
            "optimizer: the checkpoint's moving averages (use_ema) are not restored, so the "
            "model has the raw weights; load with compile=True to get them",
            Severity.WARNING,
        )


def _is_average(record: TensorRecord) -> bool:
    """Whether it is a moving average of a weight, in an optimizer or in one that another wraps."""
    return record.slot.rpartition("/")[2] == "average"
