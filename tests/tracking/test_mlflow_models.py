"""Addresses in MLflow lead to the checkpoint and its manifest, or to an error that says why not."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from recorded_events import Event, event, file_record, manifest_of

from kerasguard.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    ManifestError,
    MissingPackageError,
)
from kerasguard.storage import sidecar
from kerasguard.tracking import mlflow_sending, mlflow_tracking
from kerasguard.tracking.mlflow_address import Address, is_mlflow_uri, parse
from kerasguard.tracking.mlflow_layout import DIGEST_TAG, companions
from kerasguard.tracking.mlflow_models import resolve
from kerasguard.tracking.mlflow_tracking import MlflowObserver

pytest_plugins = ("mlflow_store",)
pytestmark = [pytest.mark.mlflow, pytest.mark.filterwarnings("default:::mlflow")]

ID = "0123456789abcdef" * 2
_names = (f"orientation{i}" for i in itertools.count())


@pytest.fixture(autouse=True)
def _an_empty_outbox() -> Iterator[None]:
    mlflow_tracking._outbox.reset()
    yield
    mlflow_tracking._outbox.reset()


@dataclass(frozen=True)
class Logged:
    """A model as `log_model` leaves it, registered as version 1 with the alias `champion`."""

    event: Event
    name: str
    model_id: str
    run_id: str
    version: str


def log_model(
    mlflow: ModuleType,
    folder: Path,
    seed: int,
    *,
    observed: bool = True,
    beside: bool = True,
    name: str = "",
) -> Logged:
    """Go through the motions of `mlflow.keras.log_model` without Keras."""
    name = name or next(_names)
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model(name="net", source_run_id=run.info.run_id)
        client.log_outputs(run.info.run_id, [mlflow.entities.LoggedModelOutput(model.model_id, 0)])
        data = folder / f"{name}{seed}" / "data"
        data.mkdir(parents=True)
        (data / "keras_module.txt").write_text("keras")
        saved = event(data / "model.keras", seed, beside=beside)
        if observed:
            MlflowObserver()(saved)
            assert mlflow_tracking.flush(60)
        described = mlflow.models.Model(model_id=model.model_id, run_id=run.info.run_id)
        described.add_flavor("keras", data="data", keras_version="3", save_exported_model=False)
        described.save(str(data.parent / "MLmodel"))
        client.log_model_artifacts(model.model_id, str(data.parent))
        mlflow.finalize_logged_model(model.model_id, "READY")
    version = mlflow.register_model(f"models:/{model.model_id}", name)
    client.set_registered_model_alias(name, "champion", version.version)
    return Logged(saved, name, model.model_id, run.info.run_id, str(version.version))


def log_files(mlflow: ModuleType, *saves: Event, folder: str = "checkpoints") -> str:
    """A run with its checkpoints and their sidecars as artifacts, each recorded by the observer."""
    with mlflow.start_run() as run:
        for saved in saves:
            MlflowObserver()(saved)
            mlflow.log_artifact(str(saved.path), folder)
            place = sidecar.sidecar_path(saved.path)
            if place.exists():
                mlflow.log_artifact(str(place), folder)
        assert mlflow_tracking.flush(60)
    return str(run.info.run_id)


def store_of(mlflow: ModuleType, logged: Logged) -> Path:
    """The folder in which the local store keeps a model."""
    location = mlflow.get_logged_model(logged.model_id).artifact_location
    return Path(location.removeprefix("file://"))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("runs:/r/a/b.keras", {"run_id": "r", "inside": "a/b.keras"}),
        ("runs:/r", {"run_id": "r"}),
        ("runs:/r//a/./b/", {"run_id": "r", "inside": "a/b"}),
        ("models:/net/3", {"name": "net", "version": "3"}),
        ("models:/net/latest", {"name": "net", "version": "latest"}),
        ("models:/net@champion", {"name": "net", "alias": "champion"}),
        ("models:/net@champion/data", {"name": "net", "alias": "champion", "inside": "data"}),
        ("models:/net/3/data/x.h5", {"name": "net", "version": "3", "inside": "data/x.h5"}),
        (f"models:/m-{ID}", {"model_id": f"m-{ID}"}),
        (f"models:/m-{ID}/data", {"model_id": f"m-{ID}", "inside": "data"}),
        ("models:/m-net/3", {"name": "m-net", "version": "3"}),
        ("mlflow-artifacts:/shelf/a.keras", {}),
        (f"mlflow-artifacts:/0/{ID}/artifacts/a.keras", {"run_id": ID}),
        (f"mlflow-artifacts:/0/models/m-{ID}/artifacts", {"model_id": f"m-{ID}"}),
    ],
)
def test_an_address_is_taken_apart(uri: str, expected: dict[str, str]) -> None:
    assert is_mlflow_uri(uri)
    assert parse(uri) == Address(uri, **expected)


@pytest.mark.parametrize(
    "uri", ["models:/net", "models:/", "runs:/", "s3://bucket/x", "models:/a/../1", "x.keras"]
)
def test_what_is_no_address_is_refused_with_the_forms(uri: str) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"models:/<name>@<alias>"):
        parse(uri)


def test_without_mlflow_the_error_names_the_address_and_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with (
        pytest.raises(MissingPackageError, match=r"models:/net/1: .*kerasguard\[mlflow\]"),
        resolve("models:/net/1"),
    ):
        pass


def test_every_address_of_a_logged_model_leads_to_its_checkpoint_and_manifest(
    mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(mlflow, tmp_path, 1)
    addresses = [
        f"models:/{logged.name}/{logged.version}",
        f"models:/{logged.name}@champion",
        f"models:/{logged.name}/latest",
        f"models:/{logged.name}/1/data/model.keras",
        f"models:/{logged.model_id}",
        f"models:/{logged.model_id}/data",
        f"runs:/{logged.run_id}/net",
        f"runs:/{logged.run_id}/net/data/model.keras",
    ]
    for uri in addresses:
        with resolve(uri) as found:
            assert found.path.name == "model.keras", uri
            assert found.path.read_bytes() == logged.event.path.read_bytes()
            assert (found.manifest, found.origin) == (logged.event.manifest, "sidecar")
            assert found.run_id == logged.run_id
            place = found.path
        assert not place.exists()


def test_a_logged_model_gets_the_digest_as_a_tag_of_its_own(
    mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(mlflow, tmp_path, 2)
    tags = mlflow.get_logged_model(logged.model_id).tags
    assert tags[DIGEST_TAG] == logged.event.manifest.weights_digest


def test_what_is_done_to_the_checkpoint_does_not_reach_a_local_store(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 3)
    before = _tree(store_of(local_mlflow, logged))
    for uri in (f"models:/{logged.model_id}", f"models:/{logged.name}/1"):
        with resolve(uri) as found:
            found.path.write_bytes(b"repaired in place")
            sidecar.sidecar_path(found.path).unlink()
    assert _tree(store_of(local_mlflow, logged)) == before


def test_the_private_folder_is_removed_when_the_block_fails(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 4)
    with pytest.raises(ZeroDivisionError), resolve(f"models:/{logged.model_id}") as found:
        raise ZeroDivisionError
    assert not found.path.parent.exists()


def test_the_private_folder_is_for_this_user_alone(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    run = log_files(local_mlflow, event(tmp_path / "07.keras", 7))
    with resolve(f"runs:/{run}/checkpoints/07.keras") as found:
        top = next(p for p in found.path.parents if p.name.startswith("kerasguard-"))
        assert top.stat().st_mode & 0o077 == 0


def test_a_files_manifest_comes_from_beside_it(mlflow: ModuleType, tmp_path: Path) -> None:
    saves = [event(tmp_path / f"{i:02}.keras", i) for i in range(3)]
    run = log_files(mlflow, *saves)
    for saved in saves:
        with resolve(f"runs:/{run}/checkpoints/{saved.path.name}") as found:
            assert found.path.read_bytes() == saved.path.read_bytes()
            assert (found.manifest, found.origin) == (saved.manifest, "sidecar")


def test_a_file_without_a_sidecar_is_found_in_the_run_by_its_digest(
    mlflow: ModuleType, tmp_path: Path
) -> None:
    saves = [event(tmp_path / str(i) / "checkpoint.keras", i, beside=False) for i in range(3)]
    with mlflow.start_run() as run:
        for i, saved in enumerate(saves):
            MlflowObserver()(saved)
            mlflow.log_artifact(str(saved.path), f"epoch_{i}")
        assert mlflow_tracking.flush(60)
    for i, saved in enumerate(saves):
        with resolve(f"runs:/{run.info.run_id}/epoch_{i}/checkpoint.keras") as found:
            assert (found.manifest, found.origin) == (saved.manifest, "run")


def test_a_model_without_a_sidecar_is_found_in_the_run_by_its_digest(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 5, beside=False)
    (store_of(local_mlflow, logged) / "kerasguard" / "manifest.json").unlink()
    with resolve(f"models:/{logged.name}@champion") as found:
        assert (found.manifest, found.origin) == (logged.event.manifest, "run")


def test_the_manifest_in_the_models_own_folder_is_found(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 6, beside=False, observed=False)
    extra = tmp_path / "extra" / "kerasguard"
    extra.mkdir(parents=True)
    (extra / "manifest.json").write_text(logged.event.manifest.to_json())
    local_mlflow.MlflowClient().log_model_artifacts(logged.model_id, str(extra.parent))
    with resolve(f"models:/{logged.model_id}") as found:
        assert (found.manifest, found.origin) == (logged.event.manifest, "model")


def test_a_file_that_changed_and_lost_its_sidecar_still_meets_its_manifest(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    saved = event(tmp_path / "07.keras", 7, beside=False)
    with local_mlflow.start_run() as run:
        MlflowObserver()(saved)
        saved.path.write_bytes(b"PK\x03\x04 other weights")
        local_mlflow.log_artifact(str(saved.path))
        assert mlflow_tracking.flush(60)
    with resolve(f"runs:/{run.info.run_id}/07.keras") as found:
        assert found.manifest == saved.manifest
        assert not sidecar.describes(saved.manifest, found.path)


def test_what_nobody_recorded_has_no_manifest(local_mlflow: ModuleType, tmp_path: Path) -> None:
    saved = event(tmp_path / "07.keras", 7, beside=False)
    with local_mlflow.start_run() as run:
        local_mlflow.log_artifact(str(saved.path))
    logged = log_model(local_mlflow, tmp_path, 8, observed=False, beside=False)
    for uri in (f"runs:/{run.info.run_id}/07.keras", f"models:/{logged.model_id}"):
        with resolve(uri) as found:
            assert (found.manifest, found.origin) == (None, "")


def test_a_folder_of_checkpoints_with_one_in_it_is_that_one(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    run = log_files(local_mlflow, event(tmp_path / "07.keras", 7))
    with resolve(f"runs:/{run}/checkpoints") as found:
        assert found.path.name == "07.keras"
        assert found.origin == "sidecar"


def test_a_folder_of_several_checkpoints_asks_which(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    run = log_files(local_mlflow, *(event(tmp_path / f"{i:02}.keras", i) for i in range(3)))
    uri = f"runs:/{run}/checkpoints"
    with pytest.raises(CheckpointNotFoundError, match=f"holds 3 .*{uri}/00.keras"), resolve(uri):
        pass


@pytest.mark.parametrize(
    ("files", "address"),
    [
        (("ckpt-3.index", "ckpt-3.data-00000-of-00001"), "ckpt-3"),
        (("x.weights.json", "x_00000.weights.h5", "x_00001.weights.h5"), "x.weights.json"),
        (
            tuple(f"net.keras/{n}" for n in ("config.json", "metadata.json", "model.weights.h5")),
            "net.keras",
        ),
        (("net/saved_model.pb", "net/variables/variables.index"), "net"),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_a_checkpoint_of_several_files_comes_whole(
    server_mlflow: ModuleType, tmp_path: Path, files: tuple[str, ...], address: str, beside: bool
) -> None:
    records = []
    for i, name in enumerate(files):
        path = tmp_path / "many" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x08%d" % i * (i + 1) * 100)
        records.append(file_record(path, name.removeprefix(f"{address}/")))
    saved = Event(tmp_path / "many" / address, manifest_of(tuple(records), 1))
    (tmp_path / "many" / "other.txt").write_text("not part of it")
    if beside:
        sidecar.write(saved.path, saved.manifest)
    with server_mlflow.start_run() as run:
        MlflowObserver()(saved)
        server_mlflow.log_artifacts(str(tmp_path / "many"), "many")
        assert mlflow_tracking.flush(60)
    with resolve(f"runs:/{run.info.run_id}/many/{address}") as found:
        top = found.path.parent
        there = {str(p.relative_to(top)) for p in top.rglob("*") if p.is_file()}
        assert there == {*files, *([f"{address}.manifest.json"] if beside else [])}
        assert found.path.name == address
        assert (found.manifest, found.origin) == (saved.manifest, "sidecar" if beside else "run")


def test_companions_are_only_the_checkpoints_own() -> None:
    names = ["ckpt-3.index", "ckpt-31.index", "ckpt-3.txt", "ckpt-3.manifest.json"]
    assert companions("ckpt-3", names) == ["ckpt-3.index", "ckpt-3.manifest.json"]


def test_an_address_of_the_servers_own_scheme_leads_to_the_run(
    server_mlflow: ModuleType, tmp_path: Path
) -> None:
    saved = event(tmp_path / "07.keras", 7, beside=False)
    run = log_files(server_mlflow, saved)
    uri = f"{server_mlflow.get_run(run).info.artifact_uri}/checkpoints/07.keras"
    assert uri.startswith("mlflow-artifacts:/")
    with resolve(uri) as found:
        assert (found.manifest, found.origin, found.run_id) == (saved.manifest, "run", run)


def test_a_model_replaced_together_with_its_manifest_is_refused(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 9)
    forged = event(tmp_path / "forged" / "model.keras", 10)
    shutil.copytree(forged.path.parent, store_of(local_mlflow, logged) / "data", dirs_exist_ok=True)
    addresses = [
        f"models:/{logged.name}/1",
        f"models:/{logged.name}@champion",
        f"models:/{logged.model_id}",
        f"runs:/{logged.run_id}/net",
    ]
    for uri in addresses:
        with pytest.raises(ManifestError, match=DIGEST_TAG) as caught, resolve(uri):
            pass
        assert logged.event.manifest.weights_digest in str(caught.value)
        assert forged.manifest.weights_digest in str(caught.value)
        with resolve(uri, manifest="ignore") as found:
            assert found.manifest is None


def test_a_model_replaced_while_its_manifest_was_removed_is_refused(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 11)
    data = store_of(local_mlflow, logged) / "data"
    (data / "model.keras").write_bytes(b"PK\x03\x04 other weights")
    (data / "model.keras.manifest.json").unlink()
    with resolve(f"models:/{logged.model_id}") as found:  # there is another one
        assert found.manifest == logged.event.manifest
        assert not sidecar.describes(logged.event.manifest, found.path)
    (data.parent / "kerasguard" / "manifest.json").unlink()
    with (
        pytest.raises(ManifestError, match="no manifest for these files"),
        resolve(f"models:/{logged.model_id}"),
    ):
        pass


def test_a_version_gets_the_verdict_and_the_digest_unless_it_has_one(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 21)
    client = local_mlflow.MlflowClient()
    again = local_mlflow.register_model(f"models:/{logged.model_id}", logged.name)
    client.set_model_version_tag(logged.name, again.version, DIGEST_TAG, "xxh3:mine")
    assert mlflow_sending.tag_versions(
        local_mlflow.get_tracking_uri(), logged.model_id, logged.event.manifest
    )
    first = client.get_model_version(logged.name, "1").tags
    assert first["kg"] == "recorded, all finite"
    assert first[DIGEST_TAG] == logged.event.manifest.weights_digest
    assert client.get_model_version(logged.name, again.version).tags[DIGEST_TAG] == "xxh3:mine"


def test_an_address_that_is_wrong_by_a_letter_lists_the_models_of_the_run(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 22)
    run = local_mlflow.MlflowClient().get_logged_model(logged.model_id).source_run_id
    for inside in ("/modl", ""):
        with (
            pytest.raises(CheckpointNotFoundError, match=rf"logged: runs:/{run}/\w+"),
            resolve(f"runs:/{run}{inside}"),
        ):
            pass


def test_asking_a_registry_that_is_not_there_makes_none(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local_mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with (
        pytest.raises(CheckpointNotFoundError, match="MLFLOW_TRACKING_URI"),
        resolve("models:/name/1"),
    ):
        pass
    assert not list(tmp_path.glob("*.db"))


def test_a_digest_that_the_registry_holds_of_a_version_has_to_agree(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 12)
    client = local_mlflow.MlflowClient()
    client.set_model_version_tag(logged.name, "1", DIGEST_TAG, "xxh3:another")
    with (
        pytest.raises(ManifestError, match=f"model version {logged.name}/1.*xxh3:another"),
        resolve(f"models:/{logged.name}@champion"),
    ):
        pass
    with resolve(f"models:/{logged.model_id}") as found:
        assert found.manifest == logged.event.manifest


def test_a_checkpoint_replaced_in_the_run_together_with_its_manifest_is_refused(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    run = log_files(local_mlflow, event(tmp_path / "07.keras", 7), event(tmp_path / "08.keras", 8))
    forged = event(tmp_path / "forged" / "07.keras", 13)
    client = local_mlflow.MlflowClient()
    client.log_artifacts(run, str(forged.path.parent), "checkpoints")
    uri = f"runs:/{run}/checkpoints/07.keras"
    with pytest.raises(ManifestError, match=r"recorded 07\.keras, but never these"), resolve(uri):
        pass


def test_a_manifest_forged_under_the_right_file_digest_is_refused(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    first = event(tmp_path / "07.keras", 7)
    run = log_files(local_mlflow, first, event(tmp_path / "08.keras", 8))
    place = tmp_path / "forged" / "07.keras.manifest.json"
    place.parent.mkdir()
    place.write_text(manifest_of(first.manifest.files, 99).to_json())
    local_mlflow.MlflowClient().log_artifact(run, str(place), "checkpoints")
    with (
        pytest.raises(ManifestError, match="never these"),
        resolve(f"runs:/{run}/checkpoints/07.keras"),
    ):
        pass


def test_a_checkpoint_of_another_origin_beside_a_runs_own_is_not_accused(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    base = event(tmp_path / "base" / "pretrained.keras", 14)
    run = log_files(local_mlflow, event(tmp_path / "07.keras", 7))
    local_mlflow.MlflowClient().log_artifacts(run, str(base.path.parent), "base")
    with resolve(f"runs:/{run}/base/pretrained.keras") as found:
        assert (found.manifest, found.origin) == (base.manifest, "sidecar")


def test_a_broken_manifest_is_an_error_that_names_the_address(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    saved = event(tmp_path / "07.keras", 7)
    sidecar.sidecar_path(saved.path).write_text('{"schema": ')
    run = log_files(local_mlflow, saved)
    uri = f"runs:/{run}/checkpoints/07.keras"
    with pytest.raises(ManifestError) as caught, resolve(uri):
        pass
    assert str(caught.value).startswith(f"{uri}: 07.keras.manifest.json: manifest is not JSON")


def test_an_mlmodel_file_cannot_point_out_of_its_folder(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 15)
    described = store_of(local_mlflow, logged) / "MLmodel"
    described.write_text(described.read_text().replace("data: data", "data: ../../../../../etc"))
    with (
        pytest.raises(CheckpointError, match="points outside the model's folder"),
        resolve(f"models:/{logged.model_id}"),
    ):
        pass


def test_a_model_of_another_flavor_is_refused_by_name(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    logged = log_model(local_mlflow, tmp_path, 16)
    described = store_of(local_mlflow, logged) / "MLmodel"
    described.write_text(described.read_text().replace("keras:\n", "sklearn:\n", 1))
    with (
        pytest.raises(CheckpointNotFoundError, match="flavor sklearn"),
        resolve(f"models:/{logged.model_id}"),
    ):
        pass


def test_what_is_not_there_is_an_error_that_says_what_is(
    mlflow: ModuleType, tmp_path: Path
) -> None:
    run = log_files(mlflow, event(tmp_path / "07.keras", 7))
    logged = log_model(mlflow, tmp_path, 17)
    for uri, told in {
        f"runs:/{run}/checkpoints/08.keras": "beside it: 07.keras, 07.keras.manifest.json",
        f"runs:/{run}/nowhere/08.keras": "beside it: nothing",
        f"runs:/{run}": "name one of its artifacts: checkpoints, kerasguard",
        f"runs:/{ID}/x.keras": "MLFLOW_TRACKING_URI",
        f"models:/{logged.name}/2": "MLFLOW_TRACKING_URI",
        f"models:/{logged.name}@nobody": "nobody",
        f"models:/{logged.name}/Production": "no Production of .*, but 1",
        f"models:/{logged.name}/1/data/x.h5": "the model has no data/x.h5",
        f"models:/never-{ID}/latest": "but no version at all",
        f"models:/m-{ID}": "MLFLOW_TRACKING_URI",
    }.items():
        with pytest.raises(CheckpointNotFoundError, match=told) as caught, resolve(uri):
            pass
        assert str(caught.value).startswith(f"{uri}: ")
        assert isinstance(caught.value, FileNotFoundError)


def test_a_server_that_is_not_there_is_an_error_that_names_it(
    local_mlflow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    local_mlflow.set_tracking_uri("http://127.0.0.1:1")
    with (
        pytest.raises(CheckpointError, match=r"models:/net/1: could not .* http://127\.0\.0\.1:1"),
        resolve("models:/net/1"),
    ):
        pass


def test_the_artifact_servers_scheme_needs_a_server(local_mlflow: ModuleType) -> None:
    with (
        pytest.raises(CheckpointError, match="MLFLOW_TRACKING_URI"),
        resolve("mlflow-artifacts:/x/y.keras"),
    ):
        pass


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        os.path.relpath(path, folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
