"""`kerasguard report`: a page appears whole or not at all, and takes no other file's place."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kerasguard.cli.choices import UsageError, choices, model, source
from kerasguard.cli.commands import DIFFERS, OK, code_of
from kerasguard.cli.starting import started
from kerasguard.errors import OutputError
from kerasguard.storage import durable, owners, remote

if TYPE_CHECKING:
    from kerasguard.cli.console import Output
    from kerasguard.report import Report
    from kerasguard.report.drift import DriftReport

__all__ = ["report", "write"]


def report(options: argparse.Namespace, out: Output) -> int:
    """Write a page: of a checkpoint's verification, of a dry run (`--plan`), or of a run."""
    plans, is_run = options.plan or options.model is not None, _is_run(options.path)
    _check_obeyed(options, plans=plans, is_run=is_run)
    if is_run:
        return _report_of_run(options, out)
    found: Report
    if plans:
        guard = started("kerasguard.guard", debug=options.debug)
        with source(options.path, options.layout) as path:
            found = guard.preview(path, model(options), **choices(options))
    else:
        from kerasguard.checkpoints import inspect as inspecting

        found = inspecting.verify(options.path, statistics=True)
    place = write(options.out or f"{options.path}.html", found, overwrite=options.overwrite)
    code = code_of(found)
    out.document(code, page=str(place), report=found.to_dict())
    out.line(f"{found.summary}; written to {place}")
    return code


def _check_obeyed(options: argparse.Namespace, *, plans: bool, is_run: bool) -> None:
    """Refuse what this page would not be made by."""
    unplanned = ("config", "layout", "skip", "only", "rename", "custom_objects", "allow")
    given = [name for name in unplanned if getattr(options, name)]
    given += ["repair"] if options.repair != "exact" else []
    if is_run and (plans or given):
        option = "model" if options.model else "plan" if options.plan else given[0]
        raise UsageError(
            f"--{option.replace('_', '-')} is about one checkpoint, and {options.path} is a folder "
            "of them; name one"
        )
    if given and not plans:
        raise UsageError(
            f"--{given[0].replace('_', '-')} is about a load; add --plan to report on a dry run"
        )


def _is_run(path: str) -> bool:
    """Whether it is a folder with checkpoints in it and none itself."""
    from kerasguard.formats import recognised

    place = remote.local_path(path)
    return not remote.is_remote(path) and place.is_dir() and recognised(place) is None


def _report_of_run(options: argparse.Namespace, out: Output) -> int:
    from kerasguard.checkpoints.drift import drift

    found = drift(options.path)
    target = options.out or f"{options.path.rstrip('/')}.html"
    place = write(target, found, overwrite=options.overwrite)
    code = OK if found.ok else DIFFERS
    out.document(code, page=str(place), report=found.to_dict())
    out.line(found)
    out.line(f"written to {place}")
    return code


def write(
    out: str | os.PathLike[str], report: Report | DriftReport, *, overwrite: bool = False
) -> Path:
    """Write a report as one HTML page that needs nothing else.

    Args:
        out: the file.
        report: of a checkpoint or a run.
        overwrite: replace the file if it is a page.

    Raises:
        OutputError: it exists, there is no folder for it, or it is to be replaced and is no page.
    """
    place = Path(out)
    if place.is_dir() or not place.parent.is_dir():
        raise OutputError(place, "no file can be written there; name one in a folder that exists")
    if os.path.lexists(place) and overwrite and not _is_page(place):
        raise OutputError(place, "is no page, so it is not overwritten; name another file")
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


def _is_page(place: Path) -> bool:
    """Whether a file may be replaced by a page: it is empty, or HTML itself."""
    try:
        with place.open("rb") as file:
            start = file.read(256).lstrip().lower()
    except OSError:
        return False
    return not start or start.startswith((b"<!doctype html", b"<html"))
