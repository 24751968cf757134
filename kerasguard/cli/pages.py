"""Reports as files: a page appears whole or not at all, and takes no other file's place."""

from __future__ import annotations

import os
from pathlib import Path

from kerasguard.errors import OutputError
from kerasguard.report import Report
from kerasguard.storage import durable, owners

__all__ = ["write"]


def write(out: str | os.PathLike[str], report: Report, *, overwrite: bool = False) -> Path:
    """Write a report as one HTML page that needs nothing else.

    Args:
        out: the file.
        report: of a verification, a dry run, a restore or a repair.
        overwrite: replace the file if it exists.

    Raises:
        OutputError: it exists, or there is no folder for it.
    """
    place = Path(out)
    if place.is_dir() or not place.parent.is_dir():
        raise OutputError(place, "no file can be written there; name one in a folder that exists")
    if os.path.lexists(place) and not overwrite:
        raise OutputError(
            place, "exists and is not overwritten; name another, or ask to overwrite it"
        )
    claim = owners.Claim(f".{place.name}.kg-")
    draft = place.with_name(claim.name)
    try:
        durable.write_durably(draft, report.html)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
        claim.release()
    return place
