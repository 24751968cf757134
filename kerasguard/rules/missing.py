"""An expected tensor that the checkpoint does not hold.

What it looks like: the model has a weight that matches no stored tensor. Stock Keras leaves it at
its random initial value in many of these cases (`skip_mismatch`, `by_name`, masked errors).

Why it happens: a layer was added after saving; the checkpoint belongs to another model; or Keras
never wrote the variable (KG106 says so if the manifest has it).

Source: keras issues 18823, 18875 (never-built layers), 20598 (nested containers).

When the repair is exact: never; the values are not in the file. `skip=` leaves the layer alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.identity.counterparts import never_built
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity, skipping

CODES = {"KG101": "an expected tensor is not in the checkpoint"}


def missing(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per expected weight without a step and without a doubt of its own."""
    doubted = {
        r.key for e in draft.pairing.doubts for r in draft.pairing.expected[e].members.values()
    }
    unwritten = {r.name for r in draft.manifest.unwritten} if draft.manifest else set()
    since = never_built(draft.expected, draft.stored, draft.pairing.layers)  # told by KG112
    for key, record in draft.expected.tensors.items():
        if record.role != "weight" or key in draft.steps or key in doubted or record.layer in since:
            continue
        if key in draft.told or any(f"{record.layer}/".startswith(f"{t}/") for t in draft.told):
            continue
        why = (
            "Keras did not write it when the model was saved"
            if record.name in unwritten or "/unwritten/" in f"/{key}"
            else "the checkpoint has no such tensor"
        )
        yield Finding(
            "KG101",
            key,
            f"{record.label}: {record.spec} is expected at {key} and missing: {why}; load into the "
            "model that was saved, map the stored name with renames=, or leave it as it is with "
            f"{skipping(record)}",
            Severity.ERROR,
        )
