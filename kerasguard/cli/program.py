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

import os
import sys
from collections.abc import Sequence

from kerasguard.cli import commands, surroundings
from kerasguard.cli.choices import UsageError
from kerasguard.cli.commands import (
    DIFFERS,
    INTERNAL,
    NO_MANIFEST,
    OK,
    UNREADABLE,
    UNREPAIRABLE,
    USAGE,
)
from kerasguard.cli.console import Output
from kerasguard.cli.parser import parser
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

_INTERRUPTED, _CLOSED_PIPE = 130, 141


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
        known = parser()
        surroundings.complete(known)
        options = known.parse_args(arguments)
    except SystemExit as stop:  # --help and --version
        return stop.code if isinstance(stop.code, int) else USAGE
    except UsageError as error:
        verb = next((word for word in arguments if not word.startswith("-")), "")
        return _failed(error, Output(verb, as_json="--json" in arguments), debug=False)
    out = Output(options.command, as_json=options.json, quiet=options.quiet)
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
    code = commands.exit_code(error)
    message = str(error)
    if code == INTERNAL:
        message = f"internal error: {type(error).__name__}: {error}; --debug shows where"
    out.document(code, error={"type": type(error).__name__.lstrip("_"), "message": message})
    print(f"kerasguard: {printable(message)}", file=sys.stderr)
    return code
