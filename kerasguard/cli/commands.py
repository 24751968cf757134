"""The verbs about checkpoints: each a call of the library, and how its result is shown.

Exit codes, and what verbs of other modules share with these, are here, too.
"""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kerasguard import errors
from kerasguard.cli.choices import UsageError, choices, model, source
from kerasguard.cli.console import Output
from kerasguard.cli.starting import started

if TYPE_CHECKING:
    from kerasguard.manifest import Manifest
    from kerasguard.report import Report

__all__ = [
    "DIFFERS", "INTERNAL", "NO_MANIFEST", "OK", "REFUSED", "UNREADABLE", "UNREPAIRABLE", "USAGE",
    "code_of", "exit_code", "inspect", "plan", "repair", "verify",
]  # fmt: skip

OK, DIFFERS, USAGE, UNREADABLE, NO_MANIFEST, UNREPAIRABLE, REFUSED = 0, 1, 2, 3, 4, 5, 6
INTERNAL = 70
# Of several checkpoints the one that needs attention most decides.
_WORST_FIRST = (UNREADABLE, DIFFERS, UNREPAIRABLE, USAGE, NO_MANIFEST, OK)
_SIDECAR = ".manifest.json"


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


_READ = ("lambda", "def ")  # how the source of a function begins


def inspect(options: argparse.Namespace, out: Output) -> int:
    """List the tensors of checkpoints."""
    from kerasguard.checkpoints import inspect as inspecting

    def one(path: str) -> tuple[int, dict[str, Any]]:
        manifest = inspecting.inspect(path)
        functions, doubts = inspecting.lambdas(path), inspecting.doubts(path)
        _show_checkpoint(path, manifest, out)
        for name, text in functions.items():
            out.line(f"  Lambda {name}: {text}")
        for doubt in doubts:
            verb, where = "needs" if doubt.supplied else "refuses", doubt.owner or "the config"
            read = doubt.reason == "bytecode" and functions.get(doubt.owner, "").startswith(_READ)
            way = (
                '; with --allow lambdas (allow="lambdas") Keras operations replace it'
                if read
                else ""
            )
            out.line(f"  loading {verb} a {doubt.reason} in {where}: {doubt.message}{way}")
        told = {"lambdas": functions, "doubts": [asdict(doubt) for doubt in doubts]}
        return OK, {"path": path, "manifest": manifest.to_dict(), **told}

    return _each(options.paths, one, out)


def _each(paths: list[str], one: Callable[[str], tuple[int, dict[str, Any]]], out: Output) -> int:
    """Do the same with every path; the worst exit code, and one document of all.

    With a single path the document is that of the path, and what it raises is raised. A pattern
    that no shell has expanded stands for what it matches, a manifest for its checkpoint.
    """
    places = (place for path in paths for place in _expanded(path))
    paths = list(dict.fromkeys(place.removesuffix(_SIDECAR) or place for place in places))
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


def _expanded(path: str) -> list[str]:
    if "://" in path or not glob.has_magic(path) or os.path.lexists(path):
        return [path]
    found = sorted(glob.glob(path))  # noqa: PTH207  # a text that no path has to be made of
    if not found:
        raise UsageError(
            f"{path}: nothing matches; do not quote a pattern that your shell should expand"
        )
    return found


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
        return code_of(found), {"report": found.to_dict()}

    return _each(options.paths, one, out)


def plan(options: argparse.Namespace, out: Output) -> int:
    """Tell how checkpoints would be restored."""
    guard = started("kerasguard.guard", debug=options.debug)
    if options.digest and len(options.paths) > 1:
        raise UsageError("--digest names one checkpoint; plan it alone")
    given, chosen = model(options), choices(options)

    def one(path: str) -> tuple[int, dict[str, Any]]:
        with source(path, options.layout) as place:
            decided = guard.plan(place, given, digest=options.digest, **chosen)
        if len(options.paths) > 1:
            out.line(f"{path}:")
        out.line(decided)
        code = UNREPAIRABLE if decided.unresolved else OK
        return code, {"path": path, "plan": decided.to_dict()}

    return _each(options.paths, one, out)


def repair(options: argparse.Namespace, out: Output) -> int:
    """Rewrite a checkpoint, as one that Keras alone loads."""
    repairing = started("kerasguard.checkpoints.repair", debug=options.debug)
    with source(options.path, options.layout) as path:
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


def code_of(found: Report) -> int:
    """The exit code that a report comes to."""
    if found.action != "verify":
        return OK if found.ok else UNREPAIRABLE
    return DIFFERS if not found.ok else OK if found.origin == "recorded" else NO_MANIFEST
