"""The arguments of the command line: verbs, options, examples; nothing is run here."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any, NoReturn

from kerasguard.arguments import ALLOWABLE
from kerasguard.cli import commands, comparing, pages, runs, scanning, surroundings
from kerasguard.cli.choices import UsageError
from kerasguard.errors import nearest
from kerasguard.version import __version__

__all__ = ["parser"]

STATES = ("hostile", "refused", "intact", "differs", "unrecorded", "recorded", "unreadable")

_EXAMPLES = {
    "inspect": ("inspect run/07.keras", "inspect models:/orientation@champion --json"),
    "verify": ("verify run/*.keras", "verify run/07.keras --quiet && ./deploy"),
    "plan": (
        "plan old.h5",
        "plan run/*.keras --model mypackage.models:build --quiet",
        "plan run/07.weights.h5 --model mypackage.models:build --skip head",
        "plan net.safetensors --layout torch --model mypackage.models:build",
    ),
    "repair": ("repair old.h5 new.keras --dry-run", "repair old.h5 new.keras"),
    "convert": (
        "convert run/07.keras weights.safetensors",
        "convert old_weights.h5 new.keras --config model.json",
    ),
    "diff": ("diff run/07.keras run/08.keras",),
    "report": ("report run/07.keras page.html", "report old.h5 page.html --plan", "report run"),
    "scan": (
        "scan runs",
        "scan runs --only differs",
        "scan runs --jsonl > found.jsonl",
        "scan s3://bucket/runs",
        "scan models --sarif > found.sarif",
    ),
    "latest": ("latest run", "latest run --json"),
    "record": ("record run --dry-run", "record run", "record old.keras"),
    "tidy": ("tidy run", "tidy run --pair", "tidy run --remove"),
    "cp": ("cp run/07.keras best.keras", "cp run/06.keras run/07.keras archive"),
    "mv": ("mv run/07.keras archive", "mv checkpoints/ckpt-3 checkpoints/best"),
    "mlflow-sync": ("mlflow-sync",),
    "doctor": ("doctor --json",),
    "completion": (
        'completion bash    (in ~/.bashrc: eval "$(kerasguard completion bash)")',
        "completion fish > ~/.config/fish/completions/kerasguard.fish",
    ),
    "explain": ("explain KG201", "explain"),
}

_REWRITING = {
    "repair": "rewrite as a file that plain Keras loads",
    "convert": "same as repair: rewrite as .keras, .weights.h5, .h5 or .safetensors",
}


class _Parser(argparse.ArgumentParser):
    """One that raises instead of ending the process, and says which word was probably meant."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.below: list[argparse.ArgumentParser] = []

    def error(self, message: str) -> NoReturn:
        listed = re.search(r"(.*): invalid choice: '(.*?)' \(choose from (.*)\)", message)
        unknown = re.search(r"unrecognized arguments: (\S+)", message)
        meant = ""
        if listed:
            meant = nearest(listed[2], re.findall(r"[\w-]+", listed[3]))
            message = f"there is no {listed[2]!r}" if meant else message
        elif unknown:
            meant = nearest(unknown[1], self.options())
        hint = f"; did you mean {meant}?" if meant else f"; see {self.prog} --help"
        raise UsageError(f"{message}{hint}")

    def options(self) -> set[str]:
        """The long options of this parser and of those of its verbs."""
        pages = [self.format_help(), *(verb.format_help() for verb in self.below)]
        return {option for page in pages for option in re.findall(r"--[a-z][\w-]+", page)}


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


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; raises `UsageError` for what it does not understand."""
    whole = _Parser(
        prog="kerasguard",
        description="Inspect, verify and repair Keras checkpoints.",
        epilog="A verb's own help has examples: kerasguard verify --help",
    )
    version = f"kerasguard {__version__}"
    whole.add_argument("--version", action="version", version=version)
    verbs = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def verb(name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        examples = "\n".join(f"  kerasguard {line}" for line in _EXAMPLES[name])
        command = verbs.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        whole.below.append(command)
        command.set_defaults(run=run)
        command.add_argument("-q", "--quiet", action="store_true", help="only the exit code")
        command.add_argument("--json", action="store_true", help="one JSON document on stdout")
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return command

    _add_readers(verb)
    _add_runs(verb)
    _add_planners(verb)
    _add_helpers(verb)
    return whole


def _add_readers(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs that read checkpoints and need no model."""
    inspect = verb("inspect", commands.inspect, "list the tensors of checkpoints")
    inspect.add_argument("paths", nargs="+", metavar="PATH")
    verify = verb("verify", commands.verify, "compare checkpoints with their manifests")
    verify.add_argument("paths", nargs="+", metavar="PATH")
    verify.add_argument("--sha256", action="store_true", help="compare the SHA-256 of files, too")
    diff = verb(
        "diff", comparing.diff, "compare two checkpoints, tensor by tensor and layer by layer"
    )
    diff.add_argument("first")
    diff.add_argument("second")
    scan = verb("scan", scanning.scan, "list the checkpoints below a folder and verify them")
    scan.add_argument("folder", help="a folder, or an address such as s3://bucket/runs")
    scan.add_argument("--quick", action="store_true", help="find checkpoints, do not verify them")
    scan.add_argument("--only", choices=STATES, help="list only those in this state")
    scan.add_argument(
        "--jsonl", action="store_true", help="print one JSON line per checkpoint as it is found"
    )
    scan.add_argument("--sarif", action="store_true", help="print a SARIF document for code hosts")
    scan.add_argument("--resume", metavar="FILE", help="skip what an earlier --jsonl run listed")
    scan.add_argument("--processes", type=int, metavar="N", help="default: one for each CPU")


def _add_runs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs about all that a run has left in a folder."""
    latest = verb("latest", runs.latest, "print the newest checkpoint of a folder that verifies")
    latest.add_argument("folder")
    told = "also accept unrecorded checkpoints that can be read"
    latest.add_argument("--unrecorded", action="store_true", help=told)
    record = verb("record", runs.record, "give manifests to checkpoints that have none")
    record.add_argument("paths", nargs="+", metavar="PATH", help="a checkpoint or a folder")
    record.add_argument("--dry-run", action="store_true", help="show what would be recorded")
    tidy = verb("tidy", runs.tidy, "list manifests and companions whose checkpoint is gone")
    tidy.add_argument("folder")
    told = "put manifests beside the renamed checkpoints that they describe"
    tidy.add_argument("--pair", action="store_true", help=told)
    tidy.add_argument("--remove", action="store_true", help="delete what describes nothing")
    told = "checkpoints with manifest, companion and shards"
    for name, run in (("cp", runs.copy), ("mv", runs.move)):
        command = verb(name, run, f"{'copy' if name == 'cp' else 'move'} {told}")
        command.add_argument("sources", nargs="+", metavar="SOURCE")
        command.add_argument("target", metavar="TARGET", help="a new path, or a folder")


def _add_planners(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs that decide how a checkpoint becomes a model."""
    plan = verb("plan", commands.plan, "show what loading would do (dry run)")
    plan.add_argument("paths", nargs="+", metavar="PATH")
    _add_choices(plan, digest=True)
    for name, text in _REWRITING.items():
        repair = verb(name, commands.repair, text)
        repair.add_argument("path")
        repair.add_argument("out", metavar="OUT", help=".keras, .weights.h5, .h5 or .safetensors")
        repair.add_argument("--dry-run", action="store_true", help="show what would be done")
        repair.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
        _add_choices(repair)
    report = verb("report", pages.report, "write an HTML report about a checkpoint or a run")
    report.add_argument("path", help="a checkpoint, or the folder of a run's checkpoints")
    report.add_argument("out", nargs="?", metavar="PAGE.html", help="default: PATH.html")
    report.add_argument("--plan", action="store_true", help="report on a dry run of load")
    report.add_argument("--overwrite", action="store_true", help="replace the page if it exists")
    _add_choices(report)


def _add_helpers(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs that are about no checkpoint."""
    told = "send the manifests that MLflow did not get in time"
    verb("mlflow-sync", surroundings.mlflow_sync, told)
    verb("doctor", surroundings.doctor, "show installed versions and what they support")
    explain = verb("explain", surroundings.explain, "explain a finding code such as KG201")
    code = explain.add_argument("code", nargs="?", help="default: list all codes")
    # Where argcomplete looks for it; argparse knows nothing of it.
    vars(code)["completer"] = surroundings.known_codes
    told = "print a shell completion script"
    completion = verb("completion", surroundings.completion, told)
    completion.add_argument("shell", choices=surroundings.SHELLS)


def _add_choices(command: argparse.ArgumentParser, *, digest: bool = False) -> None:
    if digest:
        told = "refuse any checkpoint but this: sha256:... or xxh3:..."
        command.add_argument("--digest", help=told)
    command.add_argument(
        "--model",
        type=_reference,
        metavar="MODULE:FUNCTION",
        help="function that returns the model; default: the architecture in the checkpoint",
    )
    command.add_argument(
        "--config", metavar="MODEL.json", help="the architecture beside weights: model.to_json()"
    )
    command.add_argument(
        "--layout", choices=["torch"], help="PATH holds the arrays of a PyTorch state dict"
    )
    for name, told in (("skip", "that keep their values"), ("only", "that alone are loaded")):
        command.add_argument(
            f"--{name}", action="append", default=[], metavar="PATTERN",
            help=f"the model's variables and layers {told} (repeatable)",
        )  # fmt: skip
    command.add_argument("--repair", choices=["off", "exact", "lossy", "guess"], default="exact")
    command.add_argument(
        "--rename", type=_renaming, action="append", default=[], metavar="OLD=NEW",
        help="map a name in the checkpoint to a name in the model (repeatable)",
    )  # fmt: skip
    command.add_argument(
        "--custom-objects", type=_object, action="append", default=[],
        metavar="[NAME=]MODULE:ATTRIBUTE",
        help="custom class or function the checkpoint uses, or a dict of them (repeatable)",
    )  # fmt: skip
    command.add_argument(
        "--allow", choices=ALLOWABLE, action="append", default=[],
        help="lambdas: trust what the bytecode of Lambda layers says; graph: run a SavedModel's "
            "graph (repeatable)",
    )  # fmt: skip
