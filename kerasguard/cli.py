"""The command line: thin over the functions of the same names.

Results go to stdout, as tables or (`--json`) as one JSON document; messages go to stderr.

    exit code   meaning
    0           as it should be
    1           differs from what was recorded
    2           wrong usage
    3           the checkpoint or its manifest cannot be read
    4           there is no manifest
    5           not repairable under the policy
    70          a bug in kerasguard
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kerasguard import errors
from kerasguard.console import Output
from kerasguard.report import printable

if TYPE_CHECKING:
    from kerasguard.manifest import Manifest

__all__ = ["main"]

OK, DIFFERS, USAGE, UNREADABLE, NO_MANIFEST, UNREPAIRABLE, INTERNAL = 0, 1, 2, 3, 4, 5, 70
_INTERRUPTED, _CLOSED_PIPE = 130, 141

# First match wins, so the narrower class stands first.
_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.ManifestMissingError, NO_MANIFEST),
    (errors.ManifestError, UNREADABLE),
    (errors.CheckpointError, UNREADABLE),
    (errors.UnrepairableError, UNREPAIRABLE),
    (errors.ArchitectureError, UNREPAIRABLE),
    (errors.ModelError, USAGE),
    (errors.MissingPackageError, USAGE),
    (OSError, UNREADABLE),
)


class _UsageError(Exception):
    """The arguments are well-formed but name something that is not there."""


def _inspect(options: argparse.Namespace, out: Output) -> int:
    from kerasguard import guard

    manifest = guard.inspect(options.path)
    out.document(OK, path=options.path, manifest=manifest.to_dict())
    _show_checkpoint(options.path, manifest, out)
    return OK


def _show_checkpoint(path: str, manifest: Manifest, out: Output) -> None:
    tensors = manifest.table.tensors.values()
    known = f"recorded as {manifest.checkpoint_id}" if manifest.checkpoint_id else "no manifest"
    size = sum(record.spec.nbytes for record in tensors)
    out.line(f"{path}: {manifest.format}, {len(tensors)} tensors, {size:,} bytes, {known}")
    for name, version in sorted(manifest.versions.items()):
        out.line(f"  written by {name} {version}")
    if manifest.companion is not None:
        kept = f"{len(manifest.kept)} tensors that Keras did not write"
        out.line(f"  {kept} in {manifest.companion.name}, {manifest.companion.size:,} bytes")
    if lost := [r.label for r in manifest.unwritten if r.digest is None]:
        out.line(f"  not written, and not kept: {', '.join(lost)}")
    if manifest.probe is not None:
        out.line("  with a probe of what the model computes")
    out.table(
        ("tensor", "name", "shape", "dtype", "role"),
        [(r.key, r.name, list(r.spec.shape), r.spec.dtype, r.role) for r in tensors],
    )


def _verify(options: argparse.Namespace, out: Output) -> int:
    from kerasguard import guard

    report = guard.verify(options.path)
    code = DIFFERS if not report.ok else OK if report.origin == "recorded" else NO_MANIFEST
    out.document(code, report=report.to_dict())
    out.line(report.text)
    return code


def _plan(options: argparse.Namespace, out: Output) -> int:
    from kerasguard import guard

    model = None if options.model is None else _called(options.model)
    renames = dict(options.rename) or None
    plan = guard.plan(options.path, model, repair=options.repair, renames=renames)
    code = UNREPAIRABLE if plan.unresolved else OK
    out.document(code, path=options.path, plan=plan.to_dict())
    out.line(plan)
    return code


def _called(reference: str) -> Any:
    """The model that `package.module:function` returns."""
    module_name, _, name = reference.partition(":")
    sys.path.insert(0, "")  # as `python -m` does: the folder that one stands in
    try:
        make = getattr(importlib.import_module(module_name), name)
        return make()
    except errors.KerasguardError:
        raise
    except Exception as error:
        # The user's own program: whatever it raises is no bug of kerasguard.
        what = f"{type(error).__name__}: {error}"
        raise _UsageError(f"--model {reference}: {what} (--debug shows where)") from error


def _explain(options: argparse.Namespace, out: Output) -> int:
    from kerasguard.explain import explanations

    known = explanations()
    if options.code is None:
        codes = [{"code": e.code, "summary": e.summary} for e in known.values()]
        out.document(OK, codes=codes)
        out.table(("code", "what"), [(e.code, e.summary) for e in known.values()])
        return OK
    entry = known.get(options.code.upper())
    if entry is None:
        raise _UsageError(f"there is no code {options.code!r}; known: {', '.join(known)}")
    out.document(OK, explanation=asdict(entry))
    out.line(f"{entry.code}: {entry.summary}\n\n{entry.text}")
    return OK


def _renaming(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return old, new


def _reference(text: str) -> str:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not package.module:function")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerasguard", description="What is in a Keras checkpoint, and whether it is intact."
    )
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def verb(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="one JSON document on stdout")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return command

    verb("inspect", _inspect, "list the tensors of a checkpoint").add_argument("path")
    verb("verify", _verify, "compare a checkpoint with its manifest").add_argument("path")
    plan = verb("plan", _plan, "tell how a checkpoint would be restored; changes nothing")
    plan.add_argument("path")
    plan.add_argument(
        "--model",
        type=_reference,
        metavar="MODULE:FUNCTION",
        help="function that returns the model; default: the architecture in the checkpoint",
    )
    plan.add_argument("--repair", choices=["off", "exact", "lossy", "guess"], default="exact")
    plan.add_argument(
        "--rename", type=_renaming, action="append", default=[], metavar="OLD=NEW",
        help="a name in the checkpoint and the name in the model; may be given several times",
    )  # fmt: skip
    explain = verb("explain", _explain, "tell what a code such as KG201 means")
    explain.add_argument("code", nargs="?", help="default: list all codes")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and lets no exception out.

    Args:
        argv: arguments without the program's name; default: those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    out = Output(options.command, as_json=options.json)
    try:
        code = int(options.run(options, out))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads stdout has left; keep the interpreter from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CLOSED_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the outermost place
        return _failed(error, out, debug=options.debug)
    return code


def _failed(error: Exception, out: Output, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    code = USAGE if isinstance(error, _UsageError) else INTERNAL
    code = next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), code)
    message = str(error)
    if code == INTERNAL:
        message = f"internal error: {type(error).__name__}: {error}; --debug shows where"
    out.document(code, error={"type": type(error).__name__.lstrip("_"), "message": message})
    print(f"kerasguard: {printable(message)}", file=sys.stderr)
    return code
