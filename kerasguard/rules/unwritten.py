"""State of the model that Keras did not write and kerasguard could not keep.

What it looks like: the manifest, or the model, has more variables than the checkpoint and its
companion.

Why it happens: Keras finds sublayers by attributes and lists, tuples and dicts; layers in a set, or
in an attribute that every Layer has (`self._layers`), seed generators, metrics and states of
recurrent layers are not written. Of LoRA, Keras writes the kernel with the factors' product added.
kerasguard keeps them in a companion if it can; it cannot if the checkpoint was recorded without its
model, or after the model had changed.

Source: keras/src/saving/saving_lib.py, `_walk_saveable`; keras issues 20260, 19796.

When the repair is exact: never from the checkpoint alone.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from kerasguard.errors import listed
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import TensorRecord

CODES = {"KG106": "Keras did not write a variable when the model was saved"}


def unwritten(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per weight that is lost, and one for the rest."""
    records = draft.manifest.unwritten if draft.manifest else ()
    lost = [record for record in records if record.digest is None]
    for record in lost:
        if record.role == "weight":
            yield Finding(
                "KG106",
                record.key or record.name,
                f"{record.label}: {record.spec} was not written by Keras when the model was saved; "
                "hold its layer in an attribute, list, tuple or dict and save again",
                Severity.ERROR,
            )
    afresh = [record for record in lost if record.role != "weight"]
    yield from _together(afresh, "that Keras never writes start afresh")
    used = draft.used()
    homeless = [
        record
        for record in records
        if record.role not in ("weight", "asset", "probe")
        and record.key in draft.stored.tensors
        and record.key not in used
    ]
    yield from _together(homeless, "that were kept have no place in the model")
    yield from _unrecorded(draft, {record.key for record in records})


def _unrecorded(draft: Draft, told: Container[str]) -> Iterator[Finding]:
    """What the model has, and neither the checkpoint nor its manifest knows of.

    Metrics of a model that the caller made start as he made them.
    """
    roles = ("seed", "state", "metric") if draft.own else ("seed", "state")
    states = [
        record
        for key, record in draft.expected.tensors.items()
        if record.role in roles and key not in draft.steps
    ]
    left = [r for r in (*states, *draft.absent) if r.key not in told and not _configured(draft, r)]
    empty = [r for r in left if r.variable == "vocabulary" and not r.spec.size]
    for record in empty:
        yield Finding(
            "KG106",
            record.key,
            f"{record.label}: is in no file of the checkpoint, and the model's own is empty; "
            "give the layer its vocabulary and pass the model: kerasguard.load(path, model=model)",
            Severity.ERROR if draft.own else Severity.WARNING,
        )
    rest = [record for record in left if record not in empty]
    yield from _together(rest, "that the checkpoint does not hold keep the model's values")
    yield from _merged(draft)


def _merged(draft: Draft) -> Iterator[Finding]:
    """LoRA factors that Keras added to their kernel; it sets them to zero when it loads."""
    loaded = {draft.expected.tensors[target].layer for target in draft.steps}
    factors = [r for r in draft.merged if r.variable.startswith("lora_") and r.layer in loaded]
    if factors:
        layers = {record.layer for record in factors}
        rounded = any(
            record.layer in layers and "int" in record.spec.dtype
            for record in draft.expected.tensors.values()
        )
        again = ", which is rounded to integers once more," if rounded else ""
        message = (
            f"{len(factors)} LoRA factors are in the checkpoint only as a part of their layer's "
            f"kernel{again} and become zero: {listed([record.label for record in factors])}; a "
            "training does not go on as it was; kerasguard.patched() keeps them at the next save"
        )
        yield Finding("KG106", "", message, Severity.INFO)


def _configured(draft: Draft, record: TensorRecord) -> bool:
    """Whether a layer's config tells the state, and the model's config is the stored one."""
    if record.variable not in ("vocabulary", "bin_boundaries", "idf_weights"):
        return False
    ours, theirs = draft.expected.layers.get(record.layer), draft.stored.layers.get(record.layer)
    if ours and theirs and ours.config_digest and ours.config_digest == theirs.config_digest:
        return record.variable == "bin_boundaries" or record.spec.size > 0
    return draft.own and record.spec.size > 0


def _together(records: Sequence[TensorRecord], what: str) -> Iterator[Finding]:
    """One finding for all of them."""
    if records:
        names = listed([record.label for record in records])
        message = f"{len(records)} states {what}: {names}"
        yield Finding("KG106", "", message, Severity.INFO)
