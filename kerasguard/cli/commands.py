"""What each verb of the command line does: a call of the library, and how its result is shown."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kerasguard import errors
from kerasguard.cli.choices import UsageError, choices, model, source
from kerasguard.cli.console import Output

if TYPE_CHECKING:
    from kerasguard.manifest import Manifest
    from kerasguard.report import Report

__all__ = [
    "DIFFERS", "INTERNAL", "NO_MANIFEST", "OK", "REFUSED", "UNREADABLE", "UNREPAIRABLE", "USAGE",
    "diff", "doctor", "exit_code", "explain", "inspect", "mlflow_sync", "plan",
    "repair", "report", "verify",
]  # fmt: skip

OK, DIFFERS, USAGE, UNREADABLE, NO_MANIFEST, UNREPAIRABLE, REFUSED = 0, 1, 2, 3, 4, 5, 6
INTERNAL = 70
# Of several checkpoints the one that needs attention most decides.
_WORST_FIRST = (UNREADABLE, DIFFERS, USAGE, NO_MANIFEST, OK)


# First match wins, so the narrower class stands first.
_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.ManifestMissingError, NO_MANIFEST),
    (errors.ManifestError, UNREADABLE),
    (errors.CheckpointError, UNREADABLE),
    (errors.UnrepairableError, UNREPAIRABLE),
    (errors.ArchitectureError, UNREPAIRABLE),
    (errors.ArgumentError, USAGE),
    (UsageError, USAGE),
    (errors.ModelError, USAGE),
    (errors.OutputError, USAGE),
    (errors.MissingPackageError, USAGE),
    (OSError, UNREADABLE),
)


def exit_code(error: Exception) -> int:
    """The exit code of what was raised; `INTERNAL` for what nobody expects."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), INTERNAL)


def inspect(options: argparse.Namespace, out: Output) -> int:
    """List the tensors of checkpoints."""
    from kerasguard.checkpoints import inspect as inspecting

    def one(path: str) -> tuple[int, dict[str, Any]]:
        manifest = inspecting.inspect(path)
        functions = inspecting.lambdas(path)
        _show_checkpoint(path, manifest, out)
        for name, text in functions.items():
            out.line(f"  Lambda {name}: {text}")
        return OK, {"path": path, "manifest": manifest.to_dict(), "lambdas": functions}

    return _each(options.paths, one, out)


def _each(paths: list[str], one: Callable[[str], tuple[int, dict[str, Any]]], out: Output) -> int:
    """Do the same with every path; the worst exit code, and one document of all.

    With a single path the document is that of the path, and what it raises is raised.
    """
    if len(paths) == 1:
        code, content = one(paths[0])
        out.document(code, **content)
        return code
    codes, contents = [], []
    for path in paths:
        try:
            code, content = one(path)
        except (errors.KerasguardError, OSError) as error:
            code = exit_code(error)
            content = {"error": {"type": type(error).__name__, "message": str(error)}}
            out.complain(str(error))
        codes.append(code)
        contents.append({"path": path, "exit_code": code, **content})
    worst = next((code for code in _WORST_FIRST if code in codes), max(codes))
    out.document(worst, checkpoints=contents)
    return worst


def _show_checkpoint(path: str, manifest: Manifest, out: Output) -> None:
    tensors = manifest.table.tensors.values()
    known = f"recorded as {manifest.checkpoint_id}" if manifest.checkpoint_id else "no manifest"
    size = sum(record.spec.nbytes for record in tensors)
    out.line(f"{path}: {manifest.format}, {len(tensors)} tensors, {size:,} bytes, {known}")
    for name, version in sorted(manifest.versions.items()):
        out.line(f"  written by {name} {version}")
    if manifest.kept:
        kept, file = f"{len(manifest.kept)} tensors that Keras did not write", manifest.companion
        where = "the manifest" if file is None else f"{file.name}, {file.size:,} bytes"
        out.line(f"  {kept} in {where}")
    if lost := [r.label for r in manifest.unwritten if r.digest is None]:
        out.line(f"  not written, and not kept: {', '.join(lost)}")
    if manifest.probe is not None:
        out.line("  with a probe of what the model computes")
    out.table(
        ("tensor", "name", "shape", "dtype", "role"),
        [(r.key, r.name, list(r.spec.shape), r.spec.dtype, r.role) for r in tensors],
    )


def verify(options: argparse.Namespace, out: Output) -> int:
    """Compare checkpoints with their manifests."""
    from kerasguard.checkpoints import inspect as inspecting

    def one(path: str) -> tuple[int, dict[str, Any]]:
        found = inspecting.verify(path, sha256=options.sha256)
        out.line(found.text)
        return _code_of(found), {"report": found.to_dict()}

    return _each(options.paths, one, out)


def plan(options: argparse.Namespace, out: Output) -> int:
    """Tell how a checkpoint would be restored."""
    from kerasguard import guard

    with source(options) as path:
        decided = guard.plan(path, model(options), digest=options.digest, **choices(options))
    code = UNREPAIRABLE if decided.unresolved else OK
    out.document(code, path=options.path, plan=decided.to_dict())
    out.line(decided)
    return code


def repair(options: argparse.Namespace, out: Output) -> int:
    """Write a checkpoint anew, as one that Keras alone loads."""
    from kerasguard.checkpoints import repair as repairing

    with source(options) as path:
        done = repairing.repair(
            path,
            options.out,
            model(options),
            dry_run=options.dry_run,
            overwrite=options.overwrite,
            progress=out.progress,
            **choices(options),
        )
    code = OK if done.ok else UNREPAIRABLE
    out.document(code, report=done.to_dict())
    out.line(done.text)
    return code


def diff(options: argparse.Namespace, out: Output) -> int:
    """Tell what differs between two checkpoints."""
    from kerasguard.checkpoints.compare import compare

    changes = compare(options.first, options.second)
    code = DIFFERS if changes else OK
    listed = [change.to_dict() for change in changes]
    out.document(code, first=options.first, second=options.second, changes=listed)
    verdict = f"differ in {len(changes)} places" if changes else "hold the same"
    out.line(f"{options.first} and {options.second} {verdict}")
    out.table(("what", "name", "how"), [(c.kind, c.name, c.what) for c in changes])
    return code


def report(options: argparse.Namespace, out: Output) -> int:
    """Write a page about a checkpoint: its verification, or with `--plan` a dry run."""
    from kerasguard.cli import pages

    if options.plan or options.model:
        from kerasguard import guard

        with source(options) as path:
            found = guard.preview(path, model(options), **choices(options))
    else:
        from kerasguard.checkpoints import inspect as inspecting

        found = inspecting.verify(options.path, statistics=True)
    place = pages.write(options.out or f"{options.path}.html", found, overwrite=options.overwrite)
    code = _code_of(found)
    out.document(code, page=str(place), report=found.to_dict())
    out.line(f"{found.summary}; written to {place}")
    return code


def mlflow_sync(_: argparse.Namespace, out: Output) -> int:
    """Send the manifests that did not reach MLflow before their process ended."""
    from kerasguard.tracking import mlflow_tracking

    # Few retries: whoever waits at a terminal sees what fails, and nothing is lost by it.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    done = mlflow_tracking.sync(out.progress)
    code = DIFFERS if done.left else OK
    out.document(code, **asdict(done))
    if not (done.sent or done.refused or done.left):
        out.line("nothing waits for MLflow")
    rows = [(name, "sent", "") for name in done.sent]
    rows += [(name, "dropped", "MLflow knows no such run") for name in done.refused]
    rows += [(name, "waits", why) for name, why in done.left]
    out.table(("checkpoint", "state", "why"), rows)
    return code


def doctor(_: argparse.Namespace, out: Output) -> int:
    """Tell what kerasguard works with here."""
    from kerasguard.cli.doctor import examine

    found = examine()
    code = USAGE if "problem" in found["keras"] else OK
    out.document(code, **found)
    rows = [(name, version or "not installed") for name, version in found["versions"].items()]
    rows.append(("platform", found["platform"]))
    for part in ("keras", "mlflow"):
        rows += [(f"{part} {name}", str(value)) for name, value in found[part].items()]
    for name, fits in found["shortcuts"].items():
        rows.append((f"shortcut {name}", "on" if fits else "off: this Keras looks otherwise"))
    out.table(("what", "here"), rows)
    return code


def _code_of(found: Report) -> int:
    if found.action != "verify":
        return OK if found.ok else UNREPAIRABLE
    return DIFFERS if not found.ok else OK if found.origin == "recorded" else NO_MANIFEST


def explain(options: argparse.Namespace, out: Output) -> int:
    """Tell what a code means, or list all codes."""
    from kerasguard.checkpoints import explain as explaining

    if options.code is None:
        known = explaining.explanations().values()
        out.document(OK, codes=[{"code": e.code, "summary": e.summary} for e in known])
        out.table(("code", "what"), [(e.code, e.summary) for e in known])
        return OK
    entry = explaining.explain(options.code)
    out.document(OK, explanation=asdict(entry))
    out.line(entry)
    return OK
