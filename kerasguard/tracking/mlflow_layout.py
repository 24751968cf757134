"""What things are called in MLflow and where they lie in a folder; no server is asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kerasguard.errors import CheckpointError, CheckpointNotFoundError
from kerasguard.storage.companion import SUFFIX as KEPT
from kerasguard.storage.sidecar import SUFFIX

__all__ = [
    "DIGEST_TAG",
    "FOLDER",
    "MANIFEST_TAG",
    "MODEL_FILE",
    "artifact_name",
    "by_digest",
    "companions",
    "files_of",
    "locate",
]

FOLDER = "kerasguard"
DIGEST_TAG = "kerasguard.weights_digest"
MANIFEST_TAG = "kerasguard.manifest"
MODEL_FILE = "MLmodel"
_FLAVORS = ("keras", "tensorflow")
# Names that the two flavors give what they save, the newest first.
_MODELS = ("model.keras", "model", "model.h5", "model.weights.h5")
_SHARDS = ".weights.json"


def artifact_name(checkpoint: str) -> str:
    """The manifest's artifact name; `#`, `?` and `%` would cut the name short over HTTP."""
    return re.sub(r"[^\w.+=@ -]", "_", checkpoint) + SUFFIX


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


def companions(name: str, siblings: Iterable[str]) -> list[str]:
    """Those of `siblings` that belong to the checkpoint `name`: its manifest, companion, shards."""
    kept = r"\.companion-[0-9a-f]{8}\.safetensors"
    own = [rf"{re.escape(name)}({re.escape(SUFFIX)}|{kept}|\.index|\.data-\d+-of-\d+)"]
    if name.endswith(_SHARDS):
        own.append(rf"{re.escape(name.removesuffix(_SHARDS))}_\d+\.weights\.h5")
    return sorted(s for s in siblings if re.fullmatch("|".join(own), s))


def files_of(checkpoint: Path) -> list[Path]:
    """The files that a checkpoint consists of, manifest and companion not among them."""
    if checkpoint.is_dir():
        return sorted(path for path in checkpoint.rglob("*") if path.is_file())
    names = companions(checkpoint.name, (path.name for path in checkpoint.parent.iterdir()))
    together = [checkpoint.with_name(name) for name in names if not name.endswith((SUFFIX, KEPT))]
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
    if _is_checkpoint(place):
        return place
    found = sorted(_checkpoints(place))
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointNotFoundError(uri, f"holds no checkpoint, only {_names(place)}")
    choices = ", ".join(f"{uri.rstrip('/')}/{path.relative_to(place)}" for path in found[:12])
    raise CheckpointNotFoundError(
        uri, f"holds {len(found)} checkpoints, so say which one is meant: {choices}"
    )


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
        raise CheckpointError(uri, f"its {MODEL_FILE} points out of the model's folder: {data!r}")
    if "saved_model_dir" in flavor and base.is_dir():
        return base
    found = [base / name for name in _MODELS if (base / name).exists()]
    if not found:
        raise CheckpointNotFoundError(
            uri, f"its folder {data}/ holds none of {', '.join(_MODELS)}, only {_names(base)}"
        )
    return found[0]


def _checkpoints(folder: Path) -> Iterator[Path]:
    """Checkpoints anywhere below `folder`; what lies inside one is not another."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if _is_checkpoint(path):
                yield path
            else:
                yield from _checkpoints(path)
        elif path.name.endswith(".index"):
            yield path.with_suffix("")
        elif path.name.endswith(_SHARDS) or (_has_content(path) and not _is_shard(path)):
            yield path


def _is_checkpoint(folder: Path) -> bool:
    """SavedModel, `.keras` folder, or a folder that tf.train wrote its state file into."""
    if (folder / "config.json").is_file() and any(folder.glob("model.weights.*")):
        return True
    return any((folder / name).is_file() for name in ("saved_model.pb", "checkpoint"))


def _has_content(path: Path) -> bool:
    """Whether the first bytes are a zip's or an HDF5 file's; the name may be anything."""
    with path.open("rb") as file:
        return file.read(8).startswith((b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"))


def _is_shard(path: Path) -> bool:
    found = re.fullmatch(r"(.+)_\d+\.weights\.h5", path.name)
    return found is not None and path.with_name(found[1] + _SHARDS).is_file()


def _names(folder: Path) -> str:
    if not folder.is_dir():
        return "nothing"
    return ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
