"""From `fit` through MLflow's stores back to a model: the whole way, with real Keras models."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.errors import KerasguardError, ManifestError
from kerasguard.manifest import Manifest
from kerasguard.tracking import mlflow_tracking

pytest_plugins = ("mlflow_store",)
pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.keras,
    pytest.mark.filterwarnings("default:::mlflow"),
    pytest.mark.filterwarnings("default:::keras"),
]

keras = pytest.importorskip("keras")
X, Y = np.ones((8, 3), "float32"), np.ones((8, 2), "float32")


def make_model() -> Any:
    layers = [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2, name="head")]
    model = keras.Sequential(layers)
    model.compile("adam", "mse", run_eagerly=True)
    return model


def log_model(mlflow: ModuleType, name: str) -> tuple[Any, Any]:
    """A trained model, logged and registered under `name` with recording on."""
    model = make_model()
    with mlflow.start_run(), kg.patched():
        model.fit(X, Y, epochs=1, verbose=0)
        info = mlflow.keras.log_model(
            model, name="net", pip_requirements=["keras"], registered_model_name=name
        )
        assert mlflow_tracking.flush(60)
    return model, info


def same(first: Any, second: Any) -> bool:
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def names(mlflow: ModuleType, run: Any, folder: str) -> list[str]:
    found = mlflow.MlflowClient().list_artifacts(run.info.run_id, folder)
    return sorted(info.path.removeprefix(f"{folder}/") for info in found)


def test_a_fit_in_a_run_leaves_the_manifest_of_every_checkpoint_in_it(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    model = make_model()
    with local_mlflow.start_run() as run:
        checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}.keras")
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[checkpoint, kg.WeightManifestCallback()])
        assert mlflow_tracking.flush(60)
    expected = [f"{epoch:02}.keras.manifest.json" for epoch in (1, 2, 3)]
    assert names(local_mlflow, run, "kerasguard/manifests") == expected
    assert len(names(local_mlflow, run, "kerasguard/by-digest")) == 3
    for name in expected:
        uri = f"runs:/{run.info.run_id}/kerasguard/manifests/{name}"
        logged = Manifest.from_json(local_mlflow.artifacts.load_text(uri))
        assert logged == Manifest.from_json((tmp_path / name).read_text("utf-8"))
    tags = local_mlflow.get_run(run.info.run_id).data.tags
    assert tags["kerasguard.weights_digest"] == logged.weights_digest


@pytest.mark.slow
def test_a_logged_model_is_loaded_verified_from_every_address(server_mlflow: ModuleType) -> None:
    name = "whole"
    model, info = log_model(server_mlflow, name)
    server_mlflow.MlflowClient().set_registered_model_alias(name, "champion", 1)
    for uri in (
        f"models:/{name}/1",
        f"models:/{name}@champion",
        info.model_uri,
        f"runs:/{info.run_id}/net",
    ):
        restored = kg.restore(uri)
        assert restored.report.origin == "recorded"
        assert same(restored.model, model)
    other = make_model()
    assert kg.load(f"models:/{name}/latest", model=other) is other
    assert same(other, model)


def test_a_model_that_was_replaced_in_the_store_is_refused(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    _, info = log_model(local_mlflow, "replaced")
    location = local_mlflow.get_logged_model(info.model_id).artifact_location
    place = Path(location.removeprefix("file://")) / "data" / "model.keras"
    make_model().save(tmp_path / "model.keras")
    shutil.copy(tmp_path / "model.keras", place)
    # MLflow itself notices nothing.
    assert local_mlflow.keras.load_model(info.model_uri) is not None
    for uri in ("models:/replaced/1", f"runs:/{info.run_id}/net"):
        with pytest.raises(KerasguardError):
            kg.load(uri)
    kg.record(place)
    with pytest.raises(ManifestError, match=r"kerasguard\.weights_digest"):
        kg.load("models:/replaced/1")


def test_what_contradicts_the_registry_is_loaded_where_the_manifest_is_to_be_ignored(
    local_mlflow: ModuleType,
) -> None:
    model, info = log_model(local_mlflow, "ignored")
    client = local_mlflow.MlflowClient()
    client.set_logged_model_tags(info.model_id, {"kerasguard.weights_digest": "xxh3:another"})
    with pytest.raises(ManifestError, match="xxh3:another"):
        kg.load("models:/ignored/1")
    restored = kg.restore("models:/ignored/1", manifest="ignore")
    assert restored.report.origin == "unrecorded"
    assert same(restored.model, model)


def test_a_training_goes_on_when_the_store_fails(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(local_mlflow.MlflowClient, "log_text", fail)
    callback = kg.WeightManifestCallback(tmp_path / "{epoch}.keras")
    with local_mlflow.start_run(), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        history = make_model().fit(X, Y, epochs=3, verbose=0, callbacks=[callback])
        mlflow_tracking.flush(60)
    assert len(history.history["loss"]) == 3
    assert sum("gone" in str(w.message) for w in seen) == 1
    assert (tmp_path / "3.keras.manifest.json").exists()


def test_a_checkpoint_that_mlflow_uploads_alone_is_found_by_its_digest(
    local_mlflow: ModuleType,
) -> None:
    from mlflow.tensorflow import MlflowModelCheckpointCallback

    model = make_model()
    with local_mlflow.start_run() as run:
        theirs = MlflowModelCheckpointCallback(
            monitor="loss", save_best_only=False, save_weights_only=True
        )
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[theirs, kg.WeightManifestCallback()])
        assert mlflow_tracking.flush(60)
    folder = "checkpoints/epoch_1"
    (name,) = [n for n in names(local_mlflow, run, folder) if n.endswith(".h5")]
    restored = kg.restore(f"runs:/{run.info.run_id}/{folder}/{name}", model=make_model())
    assert restored.report.origin == "recorded"
    assert same(restored.model, model)
