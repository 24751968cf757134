"""The verbs about no checkpoint: what is installed, what a code means, what a shell completes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kerasguard.cli.commands import DIFFERS, OK, USAGE

if TYPE_CHECKING:
    from kerasguard.cli.console import Output

__all__ = ["SHELLS", "complete", "completion", "doctor", "explain", "known_codes", "mlflow_sync"]

SHELLS = ("bash", "zsh", "fish")


def complete(parser: argparse.ArgumentParser) -> None:
    """Where a shell asks for the words that may follow: answer, and end the process."""
    if "_ARGCOMPLETE" in os.environ:
        _argcomplete("completion").autocomplete(parser)


def completion(options: argparse.Namespace, out: Output) -> int:
    """Print the lines that make a shell complete verbs, options, codes and paths."""
    script = _argcomplete("completion").shellcode(["kerasguard"], shell=options.shell)
    out.document(OK, shell=options.shell, script=script)
    out.line(script.strip())
    if sys.stdout.isatty():
        out.remark(_START[options.shell])
    return OK


_START = {
    "bash": 'put this into ~/.bashrc: eval "$(kerasguard completion bash)"',
    "zsh": 'put this into ~/.zshrc, behind compinit: eval "$(kerasguard completion zsh)"',
    "fish": "run: kerasguard completion fish > ~/.config/fish/completions/kerasguard.fish",
}


def _argcomplete(purpose: str) -> Any:
    from kerasguard.errors import MissingPackageError

    try:
        return importlib.import_module("argcomplete")
    except ImportError as error:
        raise MissingPackageError(
            f"{purpose}: needs argcomplete, which is not installed; install it with: pip install "
            "kerasguard[completion]"
        ) from error


def known_codes(**_: object) -> list[str]:
    """All codes, for completion."""
    from kerasguard.checkpoints import explain as explaining

    return list(explaining.explanations())


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
        rows.append((f"shortcut {name}", "on" if fits else "off: not compatible with this Keras"))
    out.table(("what", "here"), rows)
    return code


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
