"""A model logged by `kerasguard.mlflow` is verified by whatever of MLflow loads it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
import kerasguard.mlflow
from kerasguard.errors import ArgumentError, KerasguardError, ManifestError

pytest_plugins = ("mlflow_store",)
pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.keras,
    pytest.mark.filterwarnings("default:::mlflow"),
    pytest.mark.filterwarnings("default:::keras"),
    pytest.mark.filterwarnings("default:::fastapi"),
]

keras = pytest.importorskip("keras")
X = np.ones((2, 3), "float32")


def make_model() -> Any:
    layers = [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2, name="head")]
    return keras.Sequential(layers)


def log_model(mlflow: ModuleType, **more: Any) -> tuple[Any, Any]:
    model = make_model()
    with mlflow.start_run():
        info = kerasguard.mlflow.log_model(model, name="net", pip_requirements=["keras"], **more)
    return model, info


def store_of(mlflow: ModuleType, info: Any) -> Path:
    """The folder of the model in a local store."""
    location = mlflow.MlflowClient().get_logged_model(info.model_id).artifact_location
    return Path(location.removeprefix("file://"))


def tamper(checkpoint: Path) -> None:
    """Other weights in the place of the recorded ones, of the same shapes."""
    other = keras.saving.load_model(checkpoint)
    other.set_weights([w + 1 for w in other.get_weights()])
    other.save(checkpoint)


def test_every_loader_gets_the_weights_that_were_logged(mlflow: ModuleType, tmp_path: Path) -> None:
    model, info = log_model(mlflow)
    expected = model.predict(X, verbose=0)
    for loaded in (
        kerasguard.mlflow.load_model(info.model_uri),
        mlflow.keras.load_model(info.model_uri),
        mlflow.pyfunc.load_model(info.model_uri),
        mlflow.pyfunc.load_model(info.model_uri).get_raw_model(),
        kg.load(info.model_uri),
    ):
        assert np.array_equal(loaded.predict(X), expected)
    tags = mlflow.MlflowClient().get_logged_model(info.model_id).tags
    assert tags["kg"] == "recorded, all finite"
    assert "kerasguard==" in artifact(mlflow, info, "requirements.txt", tmp_path)


def artifact(mlflow: ModuleType, info: Any, name: str, folder: Path) -> str:
    """The text of a file of the logged model."""
    found = mlflow.artifacts.download_artifacts(artifact_uri=info.model_uri, dst_path=str(folder))
    return (Path(found) / name).read_text("utf-8")


def test_a_registered_version_has_the_verdict_and_the_page(
    mlflow: ModuleType, tmp_path: Path
) -> None:
    _, info = log_model(mlflow, registered_model_name="flavored")
    version = info.registered_model_version
    tags = mlflow.MlflowClient().get_model_version("flavored", str(version)).tags
    assert tags["kg"] == "recorded, all finite"
    assert "head/" in artifact(mlflow, info, "kerasguard/report.html", tmp_path)


def test_a_tampered_file_is_loaded_by_stock_keras_and_refused_by_all_others(
    local_mlflow: ModuleType,
) -> None:
    _, info = log_model(local_mlflow)
    tamper(store_of(local_mlflow, info) / "data" / "model.keras")
    assert local_mlflow.keras.load_model(info.model_uri) is not None
    for load in (kerasguard.mlflow.load_model, local_mlflow.pyfunc.load_model, kg.load):
        with pytest.raises(KerasguardError, match="KG302"):
            load(info.model_uri)


def test_a_model_whose_manifest_was_replaced_with_it_is_refused(local_mlflow: ModuleType) -> None:
    _, info = log_model(local_mlflow)
    folder = store_of(local_mlflow, info)
    with kg.patched(log_to_mlflow=False):
        tamper(folder / "data" / "model.keras")
    with pytest.raises(ManifestError, match="MLmodel of xxh3"):
        local_mlflow.pyfunc.load_model(info.model_uri)
    described = (folder / "MLmodel").read_text()
    was = local_mlflow.MlflowClient().get_logged_model(info.model_id).tags
    digest = kg.inspect(folder / "data" / "model.keras").weights_digest
    changed = described.replace(was["kerasguard.weights_digest"], digest)
    (folder / "MLmodel").write_text(changed)
    with pytest.raises(ManifestError, match="has the tag of xxh3"):
        local_mlflow.pyfunc.load_model(info.model_uri)


def test_a_folder_that_was_downloaded_needs_no_database(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    model, info = log_model(local_mlflow)
    folder = tmp_path / "net"
    shutil.copytree(store_of(local_mlflow, info), folder)
    local_mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/absent.db")
    loaded = kerasguard.mlflow.load_model(folder)
    assert np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert not (tmp_path / "absent.db").exists()


def test_rows_of_a_data_frame_keep_their_index(local_mlflow: ModuleType) -> None:
    pandas = pytest.importorskip("pandas")
    _, info = log_model(local_mlflow)
    frame = pandas.DataFrame(X, index=["a", "b"])
    answer = local_mlflow.pyfunc.load_model(info.model_uri).predict(frame)
    assert list(answer.index) == ["a", "b"]


def test_an_exported_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="save_exported_model"):
        kerasguard.mlflow.save_model(make_model(), tmp_path / "m", save_exported_model=True)


def test_code_that_the_model_needs_travels_with_it(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "helper_of_mine.py").write_text("ANSWER = 42\n")
    _, info = log_model(local_mlflow, code_paths=[tmp_path / "helper_of_mine.py"])
    assert (store_of(local_mlflow, info) / "code" / "helper_of_mine.py").is_file()
    assert local_mlflow.pyfunc.load_model(info.model_uri).predict(X) is not None
    assert __import__("helper_of_mine").ANSWER == 42


@pytest.mark.slow
def test_models_serve_answers_from_a_good_file_and_not_from_a_tampered_one(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    model, info = log_model(local_mlflow)
    folder = tmp_path / "net"
    shutil.copytree(store_of(local_mlflow, info), folder)
    good = _served(folder, local_mlflow.get_tracking_uri(), tmp_path)
    assert good is not None, (tmp_path / "log").read_text()[-3000:]
    assert np.allclose(good, model.predict(X, verbose=0), atol=1e-6)
    with zipfile.ZipFile(folder / "data" / "model.keras") as archive:
        assert "model.weights.h5" in archive.namelist()
    tamper(folder / "data" / "model.keras")
    assert _served(folder, local_mlflow.get_tracking_uri(), tmp_path) is None
    assert "KG302" in (tmp_path / "log").read_text()


def _served(folder: Path, store: str, where: Path) -> Any:
    """What `mlflow models serve` answers; None where it does not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = str(Path(kg.__file__).parent.parent)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder)]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn
    environment = {**os.environ, "PYTHONPATH": root, "MLFLOW_TRACKING_URI": store, "PATH": path}
    with (where / "log").open("wb") as log:
        server = subprocess.Popen(
            ["timeout", "300", *command],
            stdout=log,
            stderr=log,
            cwd=where,
            env=environment,
            start_new_session=True,
        )
        try:
            return _answer(port, server, where / "log")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, 9)
            server.wait(10)


def _answer(port: int, server: subprocess.Popen[bytes], log: Path) -> Any:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps({"inputs": X.tolist()}).encode(),
        {"Content-Type": "application/json"},
    )
    until = time.monotonic() + 240
    while time.monotonic() < until and server.poll() is None:
        if "UnrepairableError" in log.read_text(errors="replace"):
            return None
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return np.array(json.loads(answer.read())["predictions"], "float32")
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read()) from error
        except OSError:
            time.sleep(0.3)
    return None
