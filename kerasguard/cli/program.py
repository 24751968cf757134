"""The command line: thin over the functions of the same names.

Results go to stdout, as tables or (`--json`) as one JSON document; messages go to stderr.

    exit code   meaning
    0           as it should be
    1           differs from what was recorded
    2           wrong usage
    3           the checkpoint or its manifest cannot be read
    4           there is no manifest
    5           not repairable under the policy
    6           `scan` found what is never loaded from a file: code, a program, a path
    70          a bug in kerasguard
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from kerasguard import errors
from kerasguard.arguments import ALLOWABLE
from kerasguard.cli import commands
from kerasguard.cli.commands import DIFFERS, NO_MANIFEST, OK, UNREADABLE, UNREPAIRABLE, USAGE
from kerasguard.cli.console import Output
from kerasguard.report import printable

__all__ = [
    "DIFFERS",
    "INTERNAL",
    "NO_MANIFEST",
    "OK",
    "UNREADABLE",
    "UNREPAIRABLE",
    "USAGE",
    "main",
]

INTERNAL = 70
_INTERRUPTED, _CLOSED_PIPE = 130, 141

# First match wins, so the narrower class stands first.
_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.ManifestMissingError, NO_MANIFEST),
    (errors.ManifestError, UNREADABLE),
    (errors.CheckpointError, UNREADABLE),
    (errors.UnrepairableError, UNREPAIRABLE),
    (errors.ArchitectureError, UNREPAIRABLE),
    (errors.ArgumentError, USAGE),
    (errors.ModelError, USAGE),
    (errors.OutputError, USAGE),
    (errors.MissingPackageError, USAGE),
    (OSError, UNREADABLE),
)


def _renaming(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return old, new


def _reference(text: str) -> str:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not package.module:name")
    return text


def _object(text: str) -> tuple[str, str]:
    name, equals, reference = text.rpartition("=")
    if equals and not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=package.module:attribute")
    return name, _reference(reference)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerasguard", description="Inspect, verify and repair Keras checkpoints."
    )
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def verb(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="one JSON document on stdout")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return command

    verb("inspect", commands.inspect, "list the tensors of a checkpoint").add_argument("path")
    verify = verb("verify", commands.verify, "compare a checkpoint with its manifest")
    verify.add_argument("path")
    verify.add_argument("--sha256", action="store_true", help="compare the SHA-256 of files, too")
    plan = verb("plan", commands.plan, "show what loading would do (dry run)")
    plan.add_argument("path")
    _add_choices(plan, digest=True)
    repair = verb("repair", commands.repair, "rewrite as a .keras file that plain Keras loads")
    repair.add_argument("path")
    repair.add_argument("out", metavar="OUT.keras")
    repair.add_argument("--dry-run", action="store_true", help="show what would be done")
    repair.add_argument("--overwrite", action="store_true", help="replace OUT.keras if it exists")
    _add_choices(repair)
    diff = verb("diff", commands.diff, "compare two checkpoints")
    diff.add_argument("first")
    diff.add_argument("second")
    report = verb("report", commands.report, "write an HTML report about a checkpoint")
    report.add_argument("path")
    report.add_argument("out", nargs="?", metavar="PAGE.html", help="default: PATH.html")
    report.add_argument("--plan", action="store_true", help="report on a dry run of loading")
    report.add_argument("--overwrite", action="store_true", help="replace the page if it exists")
    _add_choices(report)
    scan = verb("scan", commands.scan, "list the checkpoints below a folder and verify them")
    scan.add_argument("folder")
    scan.add_argument("--quick", action="store_true", help="find checkpoints, do not verify them")
    _add_helpers(verb)
    return parser


def _add_helpers(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs that are about no checkpoint."""
    verb("mlflow-sync", commands.mlflow_sync, "send the manifests that MLflow did not get in time")
    verb("doctor", commands.doctor, "show installed versions and what they support")
    explain = verb("explain", commands.explain, "explain a finding code such as KG201")
    explain.add_argument("code", nargs="?", help="default: list all codes")


def _add_choices(command: argparse.ArgumentParser, *, digest: bool = False) -> None:
    if digest:
        told = "refuse any other than this: sha256:... or xxh3:..."
        command.add_argument("--digest", help=told)
    command.add_argument(
        "--model",
        type=_reference,
        metavar="MODULE:FUNCTION",
        help="function that returns the model; default: the architecture in the checkpoint",
    )
    command.add_argument("--repair", choices=["off", "exact", "lossy", "guess"], default="exact")
    command.add_argument(
        "--rename", type=_renaming, action="append", default=[], metavar="OLD=NEW",
        help="a name in the checkpoint and the name in the model (repeatable)",
    )  # fmt: skip
    command.add_argument(
        "--custom-objects", type=_object, action="append", default=[],
        metavar="[NAME=]MODULE:ATTRIBUTE",
        help="custom class or function the checkpoint uses, or a dict of them (repeatable)",
    )  # fmt: skip
    command.add_argument(
        "--allow", choices=ALLOWABLE, action="append", default=[],
        help="lambdas: take what the bytecode of Lambda layers reads; graph: run a SavedModel's "
        "graph; may be given twice",
    )  # fmt: skip


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
        import traceback

        traceback.print_exception(error)
    code = USAGE if isinstance(error, commands.UsageError) else INTERNAL
    code = next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), code)
    message = str(error)
    if code == INTERNAL:
        message = f"internal error: {type(error).__name__}: {error}; --debug shows where"
    out.document(code, error={"type": type(error).__name__.lstrip("_"), "message": message})
    print(f"kerasguard: {printable(message)}", file=sys.stderr)
    return code
