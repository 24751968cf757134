"""A worker's checkpoint was missing or damaged, and another worker's bytes were loaded.

What it looks like: one of the workers that train together lacks the file, or its file differs from
the manifest; the others verified theirs against the same manifest.

Why it happens: a copy to the machine's own disk was interrupted or forgotten, or the disk is bad.

Source: every worker of `MultiWorkerMirroredStrategy` reads a file of its own.

When the repair is exact: always; the bytes that are loaded have the digests of the worker's own
manifest, unless it has neither checkpoint nor manifest. Files that were recorded as different
checkpoints are never mixed. The files on the disk stay as they are: copy them again.
"""

from __future__ import annotations

from collections.abc import Iterable

from kerasguard.errors import listed
from kerasguard.planning.findings import Finding, Severity

__all__ = ["CODES", "handed_over"]

CODES = {"KG307": "a worker loaded the bytes that another worker had verified"}


def handed_over(giver: int, takers: Iterable[int]) -> Finding:
    """The finding, the same on every worker.

    Args:
        giver: rank of the worker whose bytes they are.
        takers: ranks of those whose own checkpoint was missing or damaged.
    """
    ranks = [str(rank) for rank in takers]
    workers = "worker" if len(ranks) == 1 else "workers"
    return Finding(
        "KG307",
        "",
        f"the checkpoint of {workers} {listed(ranks)} is missing or not as recorded; the bytes of "
        f"worker {giver} were loaded in its place, verified against the manifest. Copy it again",
        Severity.WARNING,
    )
