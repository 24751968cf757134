"""State that Keras did not write was kept in a companion file, which is missing.

What it looks like: the manifest names a file `<checkpoint>.companion-<id>.safetensors`; it is
missing or damaged.

Why it happens: checkpoint and manifest were copied or renamed without it.

Source: `kerasguard.storage.companion`.

When the repair is exact: there is none; copy the companion too. Without it, seeds, metrics and
states of recurrent layers start afresh (a warning); missing weights and vocabularies are an error.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.errors import listed
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG305": "the companion file with the state that Keras did not write is missing"}


def companion(draft: Draft) -> Iterator[Finding]:
    """Yield one finding if anything that was kept is missing."""
    manifest = draft.manifest
    if manifest is None or manifest.companion is None:
        return
    missing = [r for key, r in manifest.kept.items() if key not in draft.stored.tensors]
    vital = [record for record in missing if record.role in ("weight", "asset")]
    shown = vital or missing
    if shown:
        yield Finding(
            "KG305",
            "",
            f"{manifest.companion.name}: is missing or damaged, and so is "
            f"{listed([record.label for record in shown])}; copy it to the checkpoint, "
            'or load without it with manifest="ignore"',
            Severity.ERROR if vital else Severity.WARNING,
        )
