"""MLflow as the tests meet it: the default local store and a real server on loopback.

A plugin of the tests that name it in `pytest_plugins`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

STARTS_WITHIN = 120.0


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an `mlflow server` that proxies its artifacts."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    uri = f"http://127.0.0.1:{port}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # half of its start-up
    with (folder / "log").open("wb") as log:
        # A session of its own: the server's workers end with it, and nothing else does.
        server = subprocess.Popen(
            ["timeout", "3600", *command],  # as long as the slowest run of all tests
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            _wait_for(uri, server, folder / "log")
            yield uri
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, 9)
                server.wait(5)


def _wait_for(uri: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the MLflow server did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the default store makes its database; once, since that takes its time."""
    return tmp_path_factory.mktemp("local")


@pytest.fixture
def local_mlflow(local_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`mlflow` with nothing configured, in a folder of the tests."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(local_folder)
    mlflow.set_tracking_uri(None)
    yield mlflow
    _reset(mlflow)


@pytest.fixture
def server_mlflow(mlflow_server: str) -> Iterator[ModuleType]:
    """`mlflow` set to the server."""
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(mlflow_server)
    yield mlflow
    _reset(mlflow)


@pytest.fixture(params=["local", "server"])
def mlflow(request: pytest.FixtureRequest) -> ModuleType:
    """`mlflow` with the one store and with the other."""
    found = request.getfixturevalue(f"{request.param}_mlflow")
    assert isinstance(found, ModuleType)
    return found


def _reset(mlflow: ModuleType) -> None:
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
