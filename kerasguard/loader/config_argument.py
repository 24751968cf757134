"""An architecture that the caller names beside weights: Keras' `model.to_json()`, in whatever form.

Keras 1 and 2 kept it in a `model.json` beside a `model.h5` of weights; Keras 3 writes the same
beside `.weights.h5`. It is migrated as a stored one is, by the version that it tells of its writer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kerasguard.errors import ArchitectureError, CheckpointError
from kerasguard.loader.given_config import GivenConfig
from kerasguard.loader.sources import at_hand
from kerasguard.migrations.mixed_writers import shown_by
from kerasguard.storage.budget import excess
from kerasguard.storage.opened_file import OpenedFile, first_bytes
from kerasguard.storage.strict_json import strict_json

__all__ = ["Config", "beside", "given_config"]

Config = str | os.PathLike[str] | Mapping[str, Any]

_MAX_BYTES = 64 << 20
# Siblings that are looked at, and how far, to name one in an error.
_SIBLINGS, _START = 32, 4096
_FOREIGN = {
    "yaml": (
        "YAML, which to_yaml() of Keras 1 and 2 wrote and kerasguard does not read; turn it into "
        "JSON first, for example json.dump(yaml.safe_load(file), other)"
    ),
    "binary": "not text; a .keras or whole-model file contains its architecture and needs none",
}


def given_config(value: Config) -> GivenConfig:
    """The architecture that a caller names.

    Args:
        value: the JSON as an object or a text, or the path of its file. That of a `.keras` file's
            `config.json` is read with the `metadata.json` beside it, which tells the version.

    Raises:
        CheckpointError: the file cannot be read.
        ArchitectureError: it is not an architecture.
    """
    versions: Mapping[str, Any] = {}
    if isinstance(value, Mapping):
        where = "config="
        try:
            found = _parsed(where, json.dumps(dict(value)))  # tuples become lists
        except (TypeError, ValueError) as error:
            raise ArchitectureError(f"config=: not JSON ({error}); pass model.to_json()") from error
    elif isinstance(value, str) and value.lstrip()[:1] in ("{", '"'):
        where, found = "config=", _parsed("config=", value)
    else:
        where = os.fspath(value)
        with at_hand(where) as (path, _):
            found = _parsed(where, _content(path))
            versions = _metadata(path)
    if not (isinstance(found, dict) and isinstance(found.get("class_name"), str)):
        raise ArchitectureError(
            f"{where}: not an architecture: expected what model.to_json() returns, an object "
            f"with class_name and config, found {_shown(found)}"
        )
    form = "keras3" if "module" in found else "legacy"
    told = {key: str(found[key]) for key in ("keras_version", "backend") if found.get(key)}
    told |= {key: str(versions[key]) for key in ("keras_version",) if versions.get(key)}
    version = told.pop("keras_version", "")
    if not version and form == "keras3":
        version = str(shown_by(found) or 3)  # Keras 2's to_json() told no module
    return GivenConfig(found, form, {**told, **({"keras": version} if version else {})})


def beside(path: Path) -> str:
    """The name of a file beside a checkpoint that looks like an architecture; empty without one."""
    return next(_architectures(path), "")


def _architectures(path: Path) -> Iterator[str]:
    try:
        names = sorted(os.listdir(path.parent))  # noqa: PTH208  # names only
    except (OSError, ValueError):
        return
    # Those that share their name with the checkpoint, first.
    stem = path.name.split(".")[0]
    listed = [n for n in names if n.endswith(".json") and not n.endswith(".manifest.json")]
    listed.sort(key=lambda name: not name.startswith(stem))
    for name in listed[:_SIBLINGS]:
        start = first_bytes(path.with_name(name), _START)
        if b"class_name" in start and b"config" in start:
            yield name


def _content(path: Path) -> bytes:
    with OpenedFile(path) as file:
        if over := excess(file.size, _MAX_BYTES):
            raise CheckpointError(path, f"has {file.size} bytes{over}")
        return file.pread(0, file.size)


def _parsed(where: str, text: bytes | str) -> Any:
    """JSON, which some writers encoded twice."""
    value: Any = text
    try:
        for _ in range(2):
            if isinstance(value, (bytes, str)):
                value = strict_json(value, constants=True, max_bytes=_MAX_BYTES)
    except ValueError as error:
        looks = _FOREIGN.get(_kind(text))
        raise ArchitectureError(
            f"{where}: {looks}"
            if looks
            else f"{where}: not JSON ({error}); pass what model.to_json() returns, or the path of "
            "a file with it"
        ) from error
    return value


def _kind(text: bytes | str) -> str:
    start = text[:_START].encode() if isinstance(text, str) else text[:_START]
    if b"\0" in start:
        return "binary"
    return "yaml" if b"class_name: " in start else ""


def _metadata(path: Path) -> Mapping[str, Any]:
    """What a `.keras` file that was unpacked tells of its writer."""
    beside = path.with_name("metadata.json")
    if path.name != "config.json" or not beside.is_file():
        return {}
    found = _parsed(str(beside), _content(beside))
    return found if isinstance(found, dict) else {}


def _shown(found: Any) -> str:
    if isinstance(found, dict):
        return f"one with {', '.join(list(map(str, found))[:5]) or 'nothing'}"
    return f"{found!r:.60}"
