"""What things are called in MLflow and where they lie in a folder; no server is asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kerasguard.errors import CheckpointError, CheckpointNotFoundError
from kerasguard.formats import FORMATS, candidates, met, parts_of, recognised
from kerasguard.manifest import Manifest
from kerasguard.storage import companion
from kerasguard.storage.sidecar import SUFFIX

__all__ = [
    "DIGEST_TAG",
    "FOLDER",
    "MANIFEST_TAG",
    "MODEL_FILE",
    "RECORDED_AT_TAG",
    "VERDICT_TAG",
    "artifact_name",
    "by_digest",
    "companions",
    "entry_of",
    "files_of",
    "locate",
    "names_of",
]

FOLDER = "kerasguard"
DIGEST_TAG = "kerasguard.weights_digest"
MANIFEST_TAG = "kerasguard.manifest"
# Short, and the verdict first: MLflow's Overview cuts names and values.
VERDICT_TAG = "kg"
RECORDED_AT_TAG = "kerasguard.recorded_at"
MODEL_FILE = "MLmodel"
_FLAVORS = ("keras", "tensorflow")
# The name that the two flavors give what they save, with the ending of its format or without.
_MODEL = "model"


def artifact_name(checkpoint: str, more: str = "") -> str:
    """The manifest's artifact name; `#`, `?` and `%` would cut the name short over HTTP.

    Args:
        checkpoint: its name.
        more: what tells it from other saves of that name.
    """
    return re.sub(r"[^\w.+=@ -]", "_", checkpoint) + more + SUFFIX


def names_of(checkpoint: str, artifacts: Iterable[str]) -> list[str]:
    """Those of `artifacts` that hold manifests of saves of that name, the plain one first."""
    start = re.escape(artifact_name(checkpoint).removesuffix(SUFFIX))
    form = rf"{start}(\.epoch-\d+)?(\.[0-9a-f]{{8}})?{re.escape(SUFFIX)}"
    return sorted((n for n in artifacts if re.fullmatch(form, n)), key=lambda n: (len(n), n))


def by_digest(files: Iterable[tuple[int, str]]) -> str:
    """The artifact name by content, without its ending.

    Starts with the SHA-256 of the biggest file, which a finder can compute without knowing which
    files belong together; the rest tells saves apart that differ only in the smaller ones.

    Args:
        files: size and SHA-256 (hexadecimal) of each file of the checkpoint.
    """
    ranked = sorted(files, reverse=True)
    biggest = ranked[0][1][:16]
    if len(ranked) == 1:
        return biggest
    return f"{biggest}-{hashlib.sha256(repr(ranked).encode()).hexdigest()[:8]}"


def entry_of(manifest: Manifest) -> str:
    """The artifact name by content of a manifest, without its ending.

    One without SHA-256 is told from others by the digests that it has; nobody finds it by a file.
    """
    if all(record.sha256 for record in manifest.files):
        return by_digest((record.size, record.sha256) for record in manifest.files)
    told = (manifest.weights_digest, *((r.size, r.skeleton) for r in manifest.files))
    return f"xxh3-{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}"


def companions(name: str, siblings: Iterable[str]) -> list[str]:
    """Those of `siblings` that belong to the checkpoint `name`: its manifest, companion, parts."""
    names = set(siblings)
    beside = {n for n in names if n == f"{name}{SUFFIX}" or companion.belongs(n, name)}
    return sorted(beside | parts_of(name, names))


def files_of(checkpoint: Path) -> list[Path]:
    """The files that a checkpoint consists of, manifest and companion not among them."""
    if checkpoint.is_dir():
        return sorted(path for path in checkpoint.rglob("*") if path.is_file())
    siblings = {path.name for path in checkpoint.parent.iterdir()}
    together = [checkpoint.with_name(n) for n in sorted(parts_of(checkpoint.name, siblings))]
    return [checkpoint, *together] if checkpoint.is_file() else together


def locate(place: Path, uri: str, model: Mapping[str, Any] | None) -> Path:
    """The one checkpoint at `place`.

    Args:
        place: a file, the prefix of a TF checkpoint, or a folder.
        uri: where it was downloaded from; for messages.
        model: the flavors of the MLflow model that the folder is, or None.

    Raises:
        CheckpointNotFoundError: there is none, or several to choose from.
        CheckpointError: the MLmodel file points out of its folder.
    """
    if not place.is_dir():
        return place
    if model is not None:
        return _in_model(place, uri, model)
    if recognised(place):
        return place
    found = sorted(_checkpoints(place))
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointNotFoundError(uri, f"holds no checkpoint, only {_names(place)}")
    choices = ", ".join(f"{uri.rstrip('/')}/{path.relative_to(place)}" for path in found[:12])
    raise CheckpointNotFoundError(uri, f"holds {len(found)} checkpoints; name one: {choices}")


def _in_model(folder: Path, uri: str, model: Mapping[str, Any]) -> Path:
    flavor = next((model[name] for name in _FLAVORS if name in model), None)
    if flavor is None:
        raise CheckpointNotFoundError(
            uri,
            f"is an MLflow model of flavor {', '.join(sorted(model)) or 'none'}; kerasguard reads "
            "what mlflow.keras.log_model and mlflow.tensorflow.log_model wrote",
        )
    data = str(flavor.get("saved_model_dir") or flavor.get("data") or "data")
    base = (folder / data).resolve()
    if not base.is_relative_to(folder.resolve()):
        raise CheckpointError(uri, f"its {MODEL_FILE} points outside the model's folder: {data!r}")
    if "saved_model_dir" in flavor and base.is_dir():
        return base
    models = [f"{_MODEL}{suffix}" for kind in FORMATS for suffix in kind.traits.suffixes or ("",)]
    found = [base / name for name in models if (base / name).exists()]
    if not found:
        expected = ", ".join(dict.fromkeys(models))
        raise CheckpointNotFoundError(
            uri, f"its folder {data}/ holds none of {expected}, only {_names(base)}"
        )
    return found[0]


def _checkpoints(folder: Path) -> Iterator[Path]:
    """Checkpoints anywhere below `folder`; what lies inside one is not another."""
    inside = sorted(folder.iterdir())
    for path in inside:
        if path.is_dir():
            if met(path):
                yield path
            else:
                yield from _checkpoints(path)
    for name in candidates([path.name for path in inside if not path.is_dir()]):
        if met(folder / name):
            yield folder / name


def _names(folder: Path) -> str:
    if not folder.is_dir():
        return "nothing"
    return ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
