"""A tensor's values differ from the ones that were recorded.

What it looks like: the digest of the stored bytes is not the manifest's.

Why it happens: a flipped bit, a hole of zeros after a power loss, shards of two epochs, a file
edited after it was recorded. HDF5 files have no checksums, so stock Keras loads all of these.

Source: measured, 300 of 300 flipped bits in `.weights.h5` load silently in Keras 3.15.1.

When the repair is exact: there is none; restore the file from a copy.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG302": "values differ from the ones that were recorded"}


def corrupt(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per stored tensor whose digest differs from the recorded one."""
    for key, record in draft.stored.tensors.items():
        before = draft.recorded(key)
        if before is None or before.digest is None or record.digest is None:
            continue
        if before.digest != record.digest:
            where = (
                f" (bytes {record.extent.offset} to "
                f"{record.extent.offset + record.extent.length} of {record.extent.file})"
                if record.extent
                else ""
            )
            yield Finding(
                "KG302",
                key,
                f"{record.label}: values differ from the manifest{where}; the file changed after "
                "it was recorded: restore it from a copy, or load it as it is with "
                'manifest="ignore"',
                Severity.WARNING if key in draft.aside else Severity.ERROR,
            )
