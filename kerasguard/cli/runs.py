"""What the command line does with the checkpoints that a run has left in a folder."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kerasguard.cli.choices import UsageError
from kerasguard.cli.commands import DIFFERS, OK, UNREADABLE

if TYPE_CHECKING:
    from kerasguard.cli.console import Output

__all__ = ["copy", "latest", "move", "record", "tidy"]


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


def record(options: argparse.Namespace, out: Output) -> int:
    """Give manifests to checkpoints that have none."""
    from kerasguard.checkpoints.adopt import adopt

    found = [one for path in options.paths for one in adopt(path, dry_run=options.dry_run)]
    states = [one.state for one in found]
    code = UNREADABLE if "unreadable" in states else OK
    out.document(code, checkpoints=[one.to_dict() for one in found])
    told = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states)) or "no checkpoint"
    out.line(told)
    out.table(("checkpoint", "state", "what"), [(f.path, f.state, f.detail) for f in found])
    if "recorded" in states:
        out.remark(
            "a manifest made afterwards proves what a checkpoint holds from now on, not that it "
            "is what was saved"
        )
    return code


def tidy(options: argparse.Namespace, out: Output) -> int:
    """List what belongs to no checkpoint any more, and pair or remove it."""
    from kerasguard.checkpoints.tidy import tidy as find

    found = find(options.folder, pair=options.pair, remove=options.remove)
    left = [one for one in found if one.state == "found"]
    code = DIFFERS if left else OK
    out.document(code, folder=options.folder, leftovers=[one.to_dict() for one in found])
    rows = [(f.path, f.kind, f.state, f"describes {f.belongs_to}" if f.belongs_to else "")
            for f in found]  # fmt: skip
    told = "1 file that belongs" if len(found) == 1 else f"{len(found) or 'no'} files that belong"
    out.line(f"{options.folder}: {told} to no checkpoint")
    out.table(("file", "kind", "state", "why"), rows)
    if any(one.belongs_to for one in left):
        out.remark("to put manifests beside the checkpoints that they describe: --pair")
    if any(not one.belongs_to for one in left):
        out.remark("to delete what describes nothing: --remove")
    return code


def copy(options: argparse.Namespace, out: Output) -> int:
    """Copy checkpoints with all that belongs to them."""
    from kerasguard.checkpoints import moving

    return _each(options, out, moving.copy)


def move(options: argparse.Namespace, out: Output) -> int:
    """Move checkpoints with all that belongs to them."""
    from kerasguard.checkpoints import moving

    return _each(options, out, moving.move)


def _each(options: argparse.Namespace, out: Output, do: Callable[[str, str], Path]) -> int:
    if len(options.sources) > 1 and not Path(options.target).is_dir():
        raise UsageError(f"{options.target}: several checkpoints need an existing folder")
    done = [(source, str(do(source, options.target))) for source in options.sources]
    out.document(OK, checkpoints=[{"source": old, "path": new} for old, new in done])
    for old, new in done:
        out.line(f"{old} -> {new}")
    return OK
