"""What MLflow gets of one save: files and tags of the run, of the logged model, of its versions.

    kerasguard/by-digest/<first digits of the file's SHA-256>.json   one per distinct save
    kerasguard/manifests/<checkpoint name>.manifest.json             one per save: where a name is
                                                                     taken, epoch and id follow it
    kerasguard/companions/<companion's name>                         what Keras does not write
    kerasguard/report.html                                           of the last save
    run's tags `kg`, kerasguard.weights_digest, .manifest, .recorded_at    of the last save
    run's description                                                where the user wrote none

A LoggedModel that `log_model` is filling at that moment gets manifest and page, and the digest
as a tag of its own: it lies in the tracking database, apart from the files that it speaks for.
So do the versions that are registered of it.
"""

from __future__ import annotations

import json
import posixpath
import sys
import tempfile
from pathlib import Path
from typing import Any

from kerasguard.manifest import Manifest
from kerasguard.report import Report
from kerasguard.tracking.mlflow_layout import (
    DIGEST_TAG,
    FOLDER,
    MANIFEST_TAG,
    RECORDED_AT_TAG,
    VERDICT_TAG,
    artifact_name,
    entry_of,
)
from kerasguard.tracking.mlflow_parcel import Parcel

__all__ = ["NOTE_MARK", "note", "report_of_save", "send", "tag_versions", "verdict"]

NOTE_MARK = "<!-- kerasguard -->"
_NOTE = "mlflow.note.content"
_VERSIONS = "mlflow.modelVersions"


def send(parcel: Parcel) -> None:
    """Send everything of a parcel; what a tag speaks of is there before the tag.

    Raises:
        Exception: whatever MLflow and the stores behind it raise.
    """
    client = sys.modules["mlflow"].MlflowClient(tracking_uri=parcel.tracking_uri)
    manifest, run_id = parcel.manifest, parcel.run_id
    text, content = manifest.to_json(), entry_of(manifest)
    tags = client.get_run(run_id).data.tags
    client.log_text(run_id, text, f"{FOLDER}/by-digest/{content}.json")
    named = f"{FOLDER}/manifests/{_own_name(client, parcel, text, content)}"
    client.log_text(run_id, text, named)
    _send_companion(client, parcel)
    if parcel.model_id is not None:
        _fill_model(client, parcel, text)
    if tags.get(RECORDED_AT_TAG, "") > parcel.saved_at:
        return  # a later save was there first; the tags are of the last one
    client.log_text(
        run_id, report_of_save(parcel.path.name, parcel.manifest).html, f"{FOLDER}/report.html"
    )
    if _NOTE not in tags or tags[_NOTE].endswith(NOTE_MARK):
        client.set_tag(run_id, _NOTE, note(parcel, named))
    client.set_tag(run_id, MANIFEST_TAG, named)
    client.set_tag(run_id, VERDICT_TAG, verdict(manifest))
    client.set_tag(run_id, RECORDED_AT_TAG, parcel.saved_at)
    client.set_tag(run_id, DIGEST_TAG, manifest.weights_digest)


def _own_name(client: Any, parcel: Parcel, text: str, content: str) -> str:
    """A name that no other save of the run has: two epochs may be saved under one name."""
    plain = artifact_name(parcel.path.name)
    folder = f"{FOLDER}/manifests"
    known = {posixpath.basename(i.path) for i in client.list_artifacts(parcel.run_id, folder)}
    if plain not in known:
        return plain
    with tempfile.TemporaryDirectory(prefix="kerasguard-") as private:
        first = client.download_artifacts(parcel.run_id, f"{folder}/{plain}", private)
        if Path(first).read_text("utf-8") == text:
            return plain  # sent before, and interrupted
    epoch = parcel.manifest.training.get("epoch")
    more = "" if epoch is None else f".epoch-{epoch}"
    ident = (parcel.manifest.checkpoint_id or content)[:8]
    return artifact_name(parcel.path.name, f"{more}.{ident}")


def _send_companion(client: Any, parcel: Parcel) -> None:
    kept = parcel.companion
    try:
        if kept is not None:
            client.log_artifact(parcel.run_id, str(kept), f"{FOLDER}/companions")
    except FileNotFoundError:
        # A later save took its place, and its checkpoint's; or it was a folder of log_model's.
        if kept is not None and kept.is_file():  # then it was another file that the store missed
            raise


def report_of_save(name: str, manifest: Manifest) -> Report:
    """What is known of a checkpoint at the moment when it was recorded, as a report."""
    return Report(
        "record",
        name,
        manifest.format,
        origin="recorded",
        checkpoint_id=manifest.checkpoint_id,
        versions={"format": manifest.format, **manifest.versions},
        records=tuple(manifest.recorded.values()),
    )


def _fill_model(client: Any, parcel: Parcel, text: str) -> None:
    manifest = parcel.manifest
    with tempfile.TemporaryDirectory(prefix="kerasguard-") as private:
        folder = Path(private) / FOLDER
        folder.mkdir()
        (folder / "manifest.json").write_text(text, "utf-8")
        (folder / "report.html").write_text(
            report_of_save(parcel.path.name, parcel.manifest).html, "utf-8"
        )
        client.log_model_artifacts(parcel.model_id, private)
    tags = {DIGEST_TAG: manifest.weights_digest, VERDICT_TAG: verdict(manifest)}
    client.set_logged_model_tags(parcel.model_id, tags)


def tag_versions(tracking_uri: str, model_id: str, manifest: Manifest) -> bool:
    """Tag the registered versions of a logged model, which are made after the model is.

    Returns:
        Whether there is nothing to wait for: it has versions, and they have their tags.
    """
    client = sys.modules["mlflow"].MlflowClient(tracking_uri=tracking_uri)
    model = client.get_logged_model(model_id)
    versions = json.loads(model.tags.get(_VERSIONS) or "[]")
    for version in versions:
        name, number = version["name"], str(version["version"])
        if DIGEST_TAG in client.get_model_version(name, number).tags:
            continue  # whoever put it there may know better, and a load compares them
        client.set_model_version_tag(name, number, VERDICT_TAG, verdict(manifest))
        client.set_model_version_tag(name, number, DIGEST_TAG, manifest.weights_digest)
    return bool(versions)


def verdict(manifest: Manifest) -> str:
    """What is known of a save, short enough for MLflow's Overview, which cuts values."""
    records = manifest.recorded.values()
    bad = sum(bool(record.nonfinite) for record in records)
    if bad:
        return f"NaN/Inf in {bad} of {len(records)} tensors"
    return "recorded, all finite"


def note(parcel: Parcel, named: str) -> str:
    """The run's description, in Markdown; ends with `NOTE_MARK`, so that the next save knows it."""
    manifest = parcel.manifest
    epoch = manifest.training.get("epoch")
    when = f"epoch {epoch}, " if epoch is not None else ""
    name = "".join(c if c.isalnum() or c in "._-+= " else "_" for c in parcel.path.name)
    lines = [
        f"**Weights: {verdict(manifest)}**",
        "",
        f"- last save: `{name}`, {when}{parcel.saved_at[:19]}Z",
        f"- {len(manifest.recorded)} tensors, digest `{manifest.weights_digest}`",
        f"- tensors: artifact `{FOLDER}/report.html`; manifest: `{named}`",
        "- checked at every `kerasguard.load`; by hand: `kerasguard verify CHECKPOINT`",
        "",
        NOTE_MARK,
    ]
    return "\n".join(lines)
