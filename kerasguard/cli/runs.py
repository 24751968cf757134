"""What the command line does with the checkpoints that a run has left in a folder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kerasguard.cli.commands import OK

if TYPE_CHECKING:
    from kerasguard.cli.console import Output

__all__ = ["latest"]


def latest(options: argparse.Namespace, out: Output) -> int:
    """Print the newest checkpoint that verifies; why newer ones do not goes to stderr."""
    from kerasguard.checkpoints import latest as newest

    found = newest.latest(options.folder, unrecorded=options.unrecorded)
    out.document(OK, folder=options.folder, **found.to_dict())
    out.line(found.path)
    epoch = "unknown" if found.initial_epoch is None else found.initial_epoch
    out.remark(f"initial_epoch {epoch} ({found.told_by})")
    for one in found.passed_over:
        out.remark(f"passed over {one}")
    return OK
