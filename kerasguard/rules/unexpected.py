"""A stored weight that the model does not use.

What it looks like: the checkpoint has more layers than the model. Stock Keras never checks for
leftover weights, so a dropped layer goes unnoticed.

Why it happens: a layer was removed after saving, or the checkpoint belongs to another model.

Source: keras/src/saving/saving_lib.py, `_load_state` walks the model and never the file.

When the repair is exact: there is none. The finding is a warning, since every expected tensor has
its value. It is an error where the model was built from the checkpoint's own architecture, because
part of it was then not built; the moving statistics of a normalisation that never used them are
exempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kerasguard.errors import listed
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import TensorRecord

CODES = {"KG102": "the checkpoint holds a tensor that the model does not expect"}

# What a normalisation keeps beside its weights; without a use where it takes the batch's own.
_STATISTICS = frozenset({"moving_mean", "moving_variance", "running_mean", "running_std"})


def foreign(paths: Sequence[str]) -> Iterator[Finding]:
    """Yield one finding for what lies in the files beside Keras' own datasets."""
    if paths:
        message = f"{listed(paths)}: not written by Keras, and ignored, as Keras does"
        yield Finding("KG102", paths[0], message, Severity.INFO)


def _twin(record: TensorRecord) -> tuple[str, str | None]:
    """What a weight that two layers share has in common in both groups of a legacy file."""
    return record.name_in_layer, record.digest


def unexpected(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per stored weight that neither a step nor a doubt refers to."""
    used = draft.used()
    why = "the checkpoint may belong to another architecture"
    if draft.own:
        why = "the stored architecture did not create it: build the model and pass model="
    for doubt in draft.pairing.doubts.values():
        for s in doubt.candidates:
            used |= {r.key for r in draft.pairing.stored[s].members.values()}
    twins = {_twin(draft.stored.tensors[key]) for key in used if key in draft.stored.tensors}
    placed = {r.layer for key, r in draft.stored.tensors.items() if key in used}
    for key, record in draft.stored.tensors.items():
        spare = record.variable in _STATISTICS and record.layer in placed
        if draft.stored.addressing == "order" and _twin(record) in twins:
            continue
        if record.role == "weight" and key not in used:
            yield Finding(
                "KG102",
                key,
                f"{record.label}: {record.spec} is stored at {key}, but the model has no place "
                f"for it; {why}",
                Severity.ERROR if draft.own and not spare else Severity.WARNING,
            )
