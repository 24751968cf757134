"""Models in MLflow that are compared with what was recorded before they answer.

    with mlflow.start_run():
        info = kerasguard.mlflow.log_model(model, name="net")
    mlflow.pyfunc.load_model(info.model_uri)      # refuses a file that changed since
    mlflow.keras.load_model(info.model_uri)       # stock Keras still loads it, unverified
    kerasguard.mlflow.load_model("models:/net@champion")

MLflow's own flavors load, and serve, whatever lies in the store. What `log_model` here writes is a
model of the `keras` flavor whose Python function is this module's: `mlflow.pyfunc.load_model` and
`mlflow models serve` come here, and every byte is compared with the manifest before Keras sees it.
The digest in the tracking database is compared too where the database can be asked; a machine
without access to it has the manifest in the model's own folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kerasguard
from kerasguard.errors import ArgumentError, KerasguardError, ManifestError, ManifestMissingError
from kerasguard.manifest import Manifest
from kerasguard.storage import sidecar
from kerasguard.tracking.mlflow_address import is_mlflow_uri
from kerasguard.tracking.mlflow_layout import DIGEST_TAG, FOLDER, MODEL_FILE, locate
from kerasguard.tracking.mlflow_parcel import absent_store
from kerasguard.tracking.mlflow_tracking import flush, require

__all__ = ["FLAVOR_NAME", "flush", "load_model", "log_model", "save_model"]

FLAVOR_NAME = "kerasguard"
_CODE = "code"


def log_model(model: Any, name: str = "model", **arguments: Any) -> Any:
    """Log a model as `mlflow.keras.log_model` does, to be verified whenever it is loaded.

    Args:
        model: a Keras 3 model.
        name: of the logged model.
        arguments: of `mlflow.keras.log_model`, `registered_model_name` for one, and `code_paths`:
            files and folders of your own that loading the model imports.

    Returns:
        MLflow's `ModelInfo`.

    Raises:
        MissingPackageError: MLflow is not installed.
        ArgumentError: an exported model is asked for, which holds no Keras model.
    """
    mlflow = require("kerasguard.mlflow.log_model")
    info = mlflow.models.Model.log(
        artifact_path=None, flavor=sys.modules[__name__], name=name, model=model, **arguments
    )
    flush(60.0)
    return info


def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    mlflow_model: Any = None,
    code_paths: Sequence[str | os.PathLike[str]] | None = None,
    **arguments: Any,
) -> None:
    """Save a model as `mlflow.keras.save_model` does, with its manifest and a verifying loader.

    Args:
        model: a Keras 3 model.
        path: of a folder that does not exist.
        mlflow_model: MLflow's description of the model, where it has begun one.
        code_paths: files and folders that loading the model imports; copied into the model.
        arguments: of `mlflow.keras.save_model`.

    Raises:
        MissingPackageError: MLflow is not installed.
        ArgumentError: an exported model is asked for, which holds no Keras model.
    """
    mlflow = require("kerasguard.mlflow.save_model")
    keras_flavor = __import__("mlflow.keras", fromlist=["save_model"])
    if arguments.get("save_exported_model"):
        raise ArgumentError(
            "save_exported_model=True writes a SavedModel without its Keras model, which cannot be "
            "restored as it was; leave it out"
        )
    folder = Path(path)
    described = mlflow.models.Model() if mlflow_model is None else mlflow_model
    with kerasguard.patched(strict=True):
        keras_flavor.save_model(
            model, str(folder), mlflow_model=described, **_with_requirement(arguments)
        )
    manifest = _recorded(folder, described)
    (folder / FOLDER).mkdir()
    (folder / FOLDER / "manifest.json").write_text(manifest.to_json(), "utf-8")
    code = _copy_code(code_paths or (), folder)
    described.add_flavor(
        FLAVOR_NAME, kerasguard_version=kerasguard.__version__, manifest=f"{FOLDER}/manifest.json"
    )
    described.flavors["python_function"].update(loader_module=__name__, **code)
    told = {"schema": 1, "weights_digest": manifest.weights_digest}
    described.metadata = {**(described.metadata or {}), "kerasguard": told}
    described.save(str(folder / MODEL_FILE))


def load_model(model_uri: str | os.PathLike[str], **arguments: Any) -> Any:
    """The Keras model, verified.

    Args:
        model_uri: an address in MLflow, or the folder of a model that was downloaded.
        arguments: of `kerasguard.load`.

    Raises:
        KerasguardError: as `kerasguard.load`.
    """
    if is_mlflow_uri(model_uri):
        return kerasguard.load(os.fspath(model_uri), **arguments)
    return _load(Path(model_uri), **arguments)


def _load_pyfunc(path: str) -> _Verified:
    """What MLflow calls for `mlflow.pyfunc.load_model` and for serving.

    Args:
        path: the model's folder.
    """
    return _Verified(_load(Path(path), compile=False))


class _Verified:
    """A verified model as MLflow calls it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def get_raw_model(self) -> Any:
        """The Keras model."""
        return self.model

    def predict(self, data: Any, **options: Any) -> Any:
        """The outputs for an array, a list, a dict of them, or the rows of a `DataFrame`."""
        del options  # Keras has no inference parameters
        if hasattr(data, "to_numpy") and hasattr(data, "index"):
            return type(data)(self.model.predict(data.to_numpy(), verbose=0), index=data.index)
        return self.model.predict(data, verbose=0)


def _load(folder: Path, **arguments: Any) -> Any:
    mlflow = require("kerasguard.mlflow.load_model")
    if not (folder / MODEL_FILE).is_file():
        raise ManifestMissingError(
            f"is not a folder of an MLflow model, it has no {MODEL_FILE}; an address starts with "
            "models:/ or runs:/",
            path=folder,
        )
    described = mlflow.models.Model.load(str(folder))
    manifest = _recorded(folder, described)
    for who, digest in _claims(mlflow, described):
        if digest != manifest.weights_digest:
            raise ManifestError(
                f"the manifest names weights {manifest.weights_digest}, but {who} of {digest}: "
                "checkpoint and manifest were replaced together. Log the model again",
                path=folder,
            )
    checkpoint = locate(folder, str(folder), described.flavors)
    return kerasguard.load(checkpoint, manifest="require", **arguments)


def _recorded(folder: Path, described: Any) -> Manifest:
    checkpoint = locate(folder, str(folder), described.flavors)
    manifest = sidecar.read(checkpoint)
    if manifest is None:
        raise ManifestMissingError(
            "there is no manifest; log the model with kerasguard.mlflow.log_model",
            path=sidecar.sidecar_path(checkpoint),
        )
    return manifest


def _claims(mlflow: Any, described: Any) -> list[tuple[str, str]]:
    """Who speaks of this model's weights, apart from its manifest, and the digest they tell."""
    found = []
    told = (described.metadata or {}).get("kerasguard", {})
    if "weights_digest" in told:
        found.append((f"its {MODEL_FILE}", str(told["weights_digest"])))
    model_id = getattr(described, "model_id", None)
    if model_id is None or absent_store(mlflow.get_tracking_uri()):
        return found
    try:
        tags = mlflow.MlflowClient().get_logged_model(model_id).tags or {}
    except KerasguardError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever MLflow's stores raise
        warnings.warn(
            f"model {model_id}: not compared with the tracking database at "
            f"{mlflow.get_tracking_uri()}, which could not be reached ({error!s:.200}); it is "
            "compared with its manifest",
            stacklevel=3,
        )
        return found
    if DIGEST_TAG in tags:
        found.append((f"the logged model {model_id} has the tag", tags[DIGEST_TAG]))
    return found


def _with_requirement(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of MLflow's with kerasguard among what the model requires."""
    own = f"kerasguard=={kerasguard.__version__}"
    if arguments.get("conda_env") is not None or isinstance(arguments.get("pip_requirements"), str):
        return arguments
    name = "pip_requirements" if arguments.get("pip_requirements") else "extra_pip_requirements"
    given = arguments.get(name) or []
    if isinstance(given, str) or any(str(line).startswith("kerasguard") for line in given):
        return arguments
    return {**arguments, name: [*given, own]}


def _copy_code(paths: Sequence[str | os.PathLike[str]], folder: Path) -> dict[str, str]:
    for source in map(Path, paths):
        target = folder / _CODE / source.name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    return {"code": _CODE} if paths else {}
