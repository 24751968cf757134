"""The manifest describes another checkpoint.

What it looks like: the manifest lists tensors that the checkpoint lacks, or no tensor agrees.

Why it happens: the checkpoint was overwritten by a program that does not record, or the sidecar
was copied from elsewhere.

Source: keras/src/callbacks/backup_and_restore.py overwrites its file in place.

When the repair is exact: never; record the checkpoint again, or load with `manifest="ignore"`.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG303": "the manifest describes a different checkpoint"}


def stale(draft: Draft) -> Iterator[Finding]:
    """Yield one finding if recorded and stored tensors are not the same set."""
    if draft.manifest is None:
        return
    kept = draft.manifest.kept
    recorded = draft.manifest.table.tensors
    stored = {key: r for key, r in draft.stored.tensors.items() if key not in kept}
    different = [
        key
        for key in {*recorded, *stored}
        if key not in recorded or key not in stored or recorded[key].spec != stored[key].spec
    ]
    digests = [
        (record.digest, stored[key].digest)
        for key, record in recorded.items()
        if key in stored and record.digest and stored[key].digest
    ]
    none_agree = len(digests) > 1 and all(a != b for a, b in digests)
    if different or none_agree:
        what = (
            f"{len(different)} tensors are in only one of the two or have a different spec "
            f"({min(different)})"
            if different
            else "not one tensor has the recorded values"
        )
        yield Finding(
            "KG303",
            "",
            f"the manifest belongs to a different checkpoint: {what}; record the checkpoint again "
            '(kerasguard.record), or load it unverified with manifest="ignore"',
            Severity.ERROR,
        )
