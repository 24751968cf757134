"""From an MLflow address to a checkpoint and its manifest in a private folder.

MLflow hands out the store's own folder where the store is local, so everything is copied:
nothing that happens to the checkpoint afterwards can reach the store. The manifest is looked
for beside the checkpoint, then in the model's folder, then in the run; what the tracking
database says of the weights has to agree with it.
"""

from __future__ import annotations

import posixpath
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kerasguard.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    KerasguardError,
    ManifestError,
)
from kerasguard.manifest import Manifest
from kerasguard.storage import companion, sidecar
from kerasguard.tracking.mlflow_address import Address, is_mlflow_uri, parse
from kerasguard.tracking.mlflow_layout import FOLDER, MODEL_FILE, companions, files_of, locate
from kerasguard.tracking.mlflow_parcel import absent_store
from kerasguard.tracking.mlflow_registry import (
    Subject,
    cross_check,
    in_run,
    read_manifest,
    subject_of,
)
from kerasguard.tracking.mlflow_tracking import flush, require

__all__ = ["Downloaded", "is_mlflow_uri", "resolve"]

Origin = Literal["sidecar", "model", "run", ""]
# The second is what an alias that nobody has comes as.
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Downloaded:
    """A checkpoint fetched from MLflow; its files are gone when `resolve`'s block ends.

    Args:
        uri: the address that was asked for.
        path: the checkpoint, in a private folder.
        manifest: its manifest, or None where nobody recorded it.
        origin: where the manifest was found: `sidecar`, `model` (the logged model's folder),
            `run` (the run's artifacts); empty without one.
        run_id: the run that it belongs to; empty where that is unknown.
    """

    uri: str
    path: Path
    manifest: Manifest | None
    origin: Origin = ""
    run_id: str = ""


@contextmanager
def resolve(uri: str, *, manifest: Literal["auto", "ignore"] = "auto") -> Iterator[Downloaded]:
    """Download what lies at `uri` and find the checkpoint and its manifest in it.

    Args:
        uri: `runs:/...`, `models:/...` or `mlflow-artifacts:/...`.
        manifest: `"ignore"` looks for none and compares nothing with the tracking database.

    Raises:
        MissingPackageError: MLflow is not installed.
        CheckpointNotFoundError: no such run, model, version or artifact, or no checkpoint in it.
        CheckpointError: MLflow could not be asked, or the download failed.
        ManifestError: the manifest cannot be read, or the tracking database tells of other weights.
    """
    address = parse(uri)
    mlflow = require(uri)
    _have_store(mlflow, uri)
    flush()  # what this process saved a moment ago may be what is asked for
    with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
        with _asking(mlflow, uri):
            downloaded = _fetch(mlflow, address, Path(folder), ignore=manifest == "ignore")
        yield downloaded


def _have_store(mlflow: Any, uri: str) -> None:
    """Refuse where MLflow would make an empty database in the working folder to look in."""
    for store in (mlflow.get_tracking_uri(), mlflow.get_registry_uri()):
        if absent_store(store):
            raise CheckpointNotFoundError(
                uri,
                f"cannot be looked up, because there is no MLflow store at {store}; set "
                "MLFLOW_TRACKING_URI to the server or the database that it was logged to",
            )


@contextmanager
def _asking(mlflow: Any, uri: str) -> Iterator[None]:
    """Whatever MLflow and the stores behind it raise, as an error that names the address."""
    try:
        yield
    except KerasguardError:
        raise
    except Exception as error:
        store = mlflow.get_tracking_uri()
        if getattr(error, "error_code", "") in _NOT_THERE:
            raise CheckpointNotFoundError(
                uri, f"is not in MLflow at {store} ({error}); check it and MLFLOW_TRACKING_URI"
            ) from error
        raise CheckpointError(
            uri,
            f"could not be fetched from MLflow at {store} ({type(error).__name__}: {error!s:.500})"
            "; check that it runs, MLFLOW_TRACKING_URI and the credentials",
        ) from error


def _fetch(mlflow: Any, address: Address, folder: Path, *, ignore: bool) -> Downloaded:
    client = mlflow.MlflowClient()
    subject = subject_of(client, address)
    artifacts = folder / "artifacts"
    if subject.root:
        place = _download(mlflow, subject.root, artifacts) / subject.inside
        if not place.is_dir() and not files_of(place):
            raise CheckpointNotFoundError(address.uri, f"the model has no {subject.inside}")
    else:
        place = _download_beside(mlflow, address, artifacts, subject.models)
    path = locate(place, address.uri, _flavors(mlflow, place))
    if ignore:
        return Downloaded(address.uri, path, None, run_id=subject.run_id)
    try:
        manifest, origin = _find_manifest(client, subject, path, folder)
    except ManifestError as error:
        if error.path is not None:
            error.path = f"{address.uri}: {Path(error.path).name}"
        raise
    cross_check(client, address.uri, subject, path, manifest, folder)
    if origin == "run" and manifest is not None:
        _bring_companion(client, subject.run_id, path, manifest)
    return Downloaded(address.uri, path, manifest, origin, subject.run_id)


def _find_manifest(
    client: Any, subject: Subject, path: Path, folder: Path
) -> tuple[Manifest | None, Origin]:
    found = sidecar.read(path)
    if found is not None:
        return found, "sidecar"
    models = [parent for parent in path.parents if (parent / MODEL_FILE).is_file()]
    for model in models[:1]:
        own = model / FOLDER / "manifest.json"
        if own.is_file():
            return read_manifest(own), "model"
    if subject.run_id:
        found = in_run(client, subject.run_id, path, folder, by_name=not models)
    return found, "run" if found is not None else ""


def _bring_companion(client: Any, run_id: str, path: Path, manifest: Manifest) -> None:
    """Put the companion that the run holds beside the checkpoint, if there is one."""
    name = manifest.companion.name if manifest.companion else ""
    if not name or "/" in name or companion.located(path, name).is_file():
        return
    known = client.list_artifacts(run_id, f"{FOLDER}/companions")
    if name in (posixpath.basename(info.path) for info in known):
        with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
            found = client.download_artifacts(run_id, f"{FOLDER}/companions/{name}", folder)
            shutil.move(found, path.with_name(name))


def _flavors(mlflow: Any, place: Path) -> Any:
    """The flavors of the MLflow model that the folder is, or None where it is none."""
    if not (place / MODEL_FILE).is_file():
        return None
    return mlflow.models.Model.load(str(place)).flavors


def _download(mlflow: Any, uri: str, folder: Path) -> Path:
    # Always into a folder of our own: without one, a local store returns itself.
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))


def _download_beside(mlflow: Any, address: Address, folder: Path, models: tuple[str, ...]) -> Path:
    """A file, a folder or a TF checkpoint's prefix, with what belongs to it beside it."""
    uri = f"runs:/{address.run_id}/{address.inside}" if address.in_run else address.uri
    logged = f"; models that the run logged: {_some(list(models))}" if models else ""
    if address.in_run and not address.inside:
        found = _some(_names(mlflow, uri))
        raise CheckpointNotFoundError(
            address.uri, f"names a run; name one of its artifacts: {found}{logged}"
        )
    head, _, leaf = uri.rstrip("/").rpartition("/")
    siblings = _names(mlflow, head)
    wanted = [leaf] if leaf in siblings or _names(mlflow, uri) else []
    wanted += companions(leaf, siblings)
    if all(name.endswith(sidecar.SUFFIX) for name in wanted):
        raise CheckpointNotFoundError(
            address.uri, f"does not exist; beside it: {_some(siblings)}{logged}"
        )
    places = [_download(mlflow, f"{head}/{name}", folder) for name in wanted]
    return places[0].with_name(leaf)


def _names(mlflow: Any, uri: str) -> list[str]:
    """Names of what lies in a folder of artifacts; empty for a file and for nothing."""
    address = parse(uri)
    if address.in_run:
        found = mlflow.artifacts.list_artifacts(
            run_id=address.run_id, artifact_path=address.inside or None
        )
    else:
        found = mlflow.artifacts.list_artifacts(artifact_uri=uri)
    return sorted(posixpath.basename(info.path) for info in found)


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "nothing"
