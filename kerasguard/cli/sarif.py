"""What `scan` found as SARIF 2.1.0, which code hosts show beside a change.

The format is OASIS' "Static Analysis Results Interchange Format"; only what its section 3 requires
of a run, a rule and a result is written, with the fingerprint that keeps a result the same one
from run to run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kerasguard.version import __version__

if TYPE_CHECKING:
    from kerasguard.checkpoints.scan import Found

__all__ = ["sarif"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

# By the reason of a doubt, or by state: level, and what such a result says.
_RULES = {
    "hostile": ("error", "The config names code that would act on the machine."),
    "bytecode": ("error", "The config holds Python bytecode, which is never run."),
    "program": ("error", "The config names a layer that runs a program from a file."),
    "path": ("error", "The config names a file or address to read from."),
    "differs": ("error", "The checkpoint differs from its manifest."),
    "unreadable": ("error", "The checkpoint or its manifest cannot be read."),
    "class": ("warning", "Loading needs a class that the caller supplies."),
    "function": ("warning", "Loading needs a function that the caller supplies."),
    "unrecorded": ("note", "The checkpoint has no manifest to be verified against."),
}


def sarif(found: Iterable[Found]) -> dict[str, Any]:
    """A SARIF log of one run with a result for each thing that a checkpoint is not intact in.

    Paths below the working folder are relative to it, as code hosts want them.
    """
    rules = [
        {"id": name, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}
        for name, (level, text) in _RULES.items()
    ]
    results = [_result(*told, item.path) for item in found for told in _told(item)]
    driver = {"name": "kerasguard", "semanticVersion": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _told(item: Found) -> Iterator[tuple[str, str]]:
    for doubt in item.doubts:
        yield doubt.reason, f"{doubt.owner}: {doubt.message}" if doubt.owner else doubt.message
    if item.state in _RULES and not any(doubt.reason == item.state for doubt in item.doubts):
        yield item.state, item.detail or _RULES[item.state][1]


def _result(name: str, message: str, path: str) -> dict[str, Any]:
    fingerprint = hashlib.sha256(f"{name}\0{path}\0{message}".encode()).hexdigest()
    location = {"artifactLocation": {"uri": _uri(path)}}
    return {
        "ruleId": name,
        "ruleIndex": list(_RULES).index(name),
        "level": _RULES[name][0],
        "message": {"text": message},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"kerasguard/1": fingerprint},
    }


def _uri(path: str) -> str:
    here, absolute = Path.cwd(), Path(path).absolute()
    if absolute.is_relative_to(here):
        return quote(absolute.relative_to(here).as_posix())
    return absolute.as_uri()
