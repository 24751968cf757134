"""What MLflow's tracking database knows of a checkpoint, apart from the files themselves.

A manifest that lies beside a checkpoint proves accidents, not tampering: whoever can replace one
can replace both. The tags lie in the database. Where they tell of different weights than the
manifest, something was replaced, and that is an error: there is nothing to repair by.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasguard.errors import CheckpointNotFoundError, ManifestError
from kerasguard.manifest import Manifest
from kerasguard.storage import sidecar
from kerasguard.tracking.mlflow_address import Address
from kerasguard.tracking.mlflow_layout import (
    DIGEST_TAG,
    FOLDER,
    MANIFEST_TAG,
    by_digest,
    entry_of,
    files_of,
    names_of,
)

__all__ = ["Subject", "cross_check", "in_run", "read_manifest", "subject_of"]


@dataclass(frozen=True)
class Subject:
    """The thing at an address, as the database knows it.

    Args:
        root: address of the whole model, with aliases settled; empty for other artifacts.
        inside: the path below the root.
        run_id: the run that made it; empty where unknown.
        claims: who speaks of just this model, and the weights digest that they tell.
        models: addresses of the models that the run logged, where none of them is meant.
    """

    root: str = ""
    inside: str = ""
    run_id: str = ""
    claims: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ()


def subject_of(client: Any, address: Address) -> Subject:
    """Ask what an address means now; an alias is settled here, once.

    Raises:
        CheckpointNotFoundError: a registered model without such a version.
    """
    if address.name:
        return _of_version(_version(client, address), client, address)
    if address.model_id:
        subject = _of_logged_model(client, address.model_id, address.inside)
        if address.uri.startswith("models:"):
            return subject
        return Subject(run_id=subject.run_id, claims=subject.claims)
    if address.in_run:
        return _of_run(client, address)
    return Subject(run_id=address.run_id)


def _of_version(version: Any, client: Any, address: Address) -> Subject:
    root = f"models:/{version.name}/{version.version}"
    claims = _claims(version, f"model version {version.name}/{version.version}")
    run_id = version.run_id or ""
    # The model_id of a version is not filled in by every store, its source tells as well.
    source = re.fullmatch(r"models:/(m-[^/]+)", version.source or "")
    if source is not None:
        logged = _of_logged_model(client, source[1], "")
        run_id, claims = run_id or logged.run_id, claims + logged.claims
    return Subject(root, address.inside, run_id, claims)


def _of_logged_model(client: Any, model_id: str, inside: str) -> Subject:
    model = client.get_logged_model(model_id)
    claims = _claims(model, f"logged model {model_id}")
    return Subject(f"models:/{model_id}", inside, model.source_run_id or "", claims)


def _of_run(client: Any, address: Address) -> Subject:
    """A model that the run logged goes by its name, as if it were a folder of the run."""
    run = client.get_run(address.run_id)
    first, _, rest = address.inside.partition("/")
    outputs = getattr(getattr(run, "outputs", None), "model_outputs", None) or ()
    models = [client.get_logged_model(output.model_id) for output in outputs]
    named = [model for model in models if model.name == first]
    if not named:
        known = {f"runs:/{address.run_id}/{model.name}" for model in models}
        return Subject(run_id=address.run_id, models=tuple(sorted(known)))
    newest = max(named, key=lambda model: int(model.creation_timestamp))
    return _of_logged_model(client, newest.model_id, rest)


def _claims(entity: Any, who: str) -> tuple[tuple[str, str], ...]:
    digest = (entity.tags or {}).get(DIGEST_TAG)
    return () if digest is None else ((f"{who} has the tag {DIGEST_TAG}", digest),)


def _version(client: Any, address: Address) -> Any:
    name, wanted = address.name, address.version.lower()
    if address.alias:
        return client.get_model_version_by_alias(name, address.alias)
    if wanted.isdigit():
        return client.get_model_version(name, wanted)
    quote = '"' if "'" in name else "'"
    versions = client.search_model_versions(f"name = {quote}{name}{quote}")
    fitting = [
        v for v in versions if wanted == "latest" or (v.current_stage or "").lower() == wanted
    ]
    if not fitting:
        known = ", ".join(str(v.version) for v in versions) or "no version at all"
        raise CheckpointNotFoundError(
            address.uri, f"the registry has no {address.version} of {name!r}, but {known}"
        )
    return max(fitting, key=lambda v: int(v.version))


def in_run(
    client: Any, run_id: str, checkpoint: Path, folder: Path, *, by_name: bool
) -> Manifest | None:
    """The manifest that a run holds of a checkpoint.

    Args:
        client: of MLflow.
        run_id: the run.
        checkpoint: here on disk.
        folder: a private one for the manifests.
        by_name: if none was recorded of these very bytes, take the last of the same name, so
            that a checkpoint that changed since is found to have changed.
    """
    sizes = {path: path.stat().st_size for path in files_of(checkpoint)}
    start = by_digest(
        (size, _sha256(path)) for path, size in sizes.items() if size == max(sizes.values())
    )
    for name in _artifacts(client, run_id, "by-digest"):
        if name.startswith(start[:16]):
            found = _read(client, run_id, f"by-digest/{name}", folder)
            if found is not None and sidecar.describes(found, checkpoint):
                return found
    if by_name and (named := _last_of_name(client, run_id, checkpoint.name)):
        return _read(client, run_id, f"manifests/{named}", folder)
    return None


def _last_of_name(client: Any, run_id: str, checkpoint: str) -> str | None:
    """The artifact with the manifest of the last save of that name, as far as the run tells."""
    names = names_of(checkpoint, _artifacts(client, run_id, "manifests"))
    last = posixpath.basename(client.get_run(run_id).data.tags.get(MANIFEST_TAG, ""))
    return last if last in names else names[-1] if names else None


def _artifacts(client: Any, run_id: str, kind: str) -> list[str]:
    found = client.list_artifacts(run_id, f"{FOLDER}/{kind}")
    return sorted(posixpath.basename(info.path) for info in found)


def _read(client: Any, run_id: str, artifact: str, folder: Path) -> Manifest | None:
    folder.mkdir(exist_ok=True)
    return read_manifest(
        Path(client.download_artifacts(run_id, f"{FOLDER}/{artifact}", str(folder)))
    )


def read_manifest(place: Path) -> Manifest | None:
    """Read a manifest that lies by itself in a private folder, where it is given a sidecar's name.

    Raises:
        ManifestError: as for `sidecar.read`.
    """
    checkpoint = place.with_name(place.name.removesuffix(sidecar.SUFFIX) + ".alone")
    place.rename(sidecar.sidecar_path(checkpoint))
    return sidecar.read(checkpoint)


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            state.update(chunk)
    return state.hexdigest()


def cross_check(
    client: Any,
    uri: str,
    subject: Subject,
    checkpoint: Path,
    manifest: Manifest | None,
    folder: Path,
) -> None:
    """Compare a manifest with what the database tells.

    Args:
        client: of MLflow.
        uri: for messages.
        subject: what the database knows.
        checkpoint: here on disk.
        manifest: as found.
        folder: a private one for the manifests.

    Raises:
        ManifestError: they tell of different weights.
    """
    for who, digest in subject.claims:
        if manifest is None:
            raise ManifestError(
                f"{who} = {digest}, so it was recorded, but there is no manifest for these "
                "files; they were replaced, or it was removed. Log the model again, or load "
                "what is "
                'there unverified with manifest="ignore"',
                path=uri,
            )
        if manifest.weights_digest != digest:
            raise _disagreement(uri, manifest, f"{who} = {digest}")
    if manifest is None or subject.claims or not subject.run_id:
        return
    told = client.get_run(subject.run_id).data.tags.get(DIGEST_TAG)
    if told in (None, manifest.weights_digest):
        return
    # The tag is of the run's last save, this may be an earlier one, or none of the run's own.
    entry = f"{entry_of(manifest)}.json"
    if entry in _artifacts(client, subject.run_id, "by-digest"):
        recorded = _read(client, subject.run_id, f"by-digest/{entry}", folder)
        if recorded is not None and recorded.weights_digest == manifest.weights_digest:
            return
    if names_of(checkpoint.name, _artifacts(client, subject.run_id, "manifests")):
        who = (
            f"run {subject.run_id} recorded {checkpoint.name}, but never these bytes; its last has"
        )
        raise _disagreement(uri, manifest, f"{who} {told}")


def _disagreement(uri: str, manifest: Manifest, told: str) -> ManifestError:
    return ManifestError(
        f"the manifest names weights {manifest.weights_digest}, but {told}: checkpoint and "
        "manifest were replaced together after they were logged. Log the model again, or load "
        'what is there unverified with manifest="ignore"',
        path=uri,
    )
