"""A server that answers late or never does not hold `fit` up, and nothing is lost by it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest_plugins = ("mlflow_store",)
pytestmark = [pytest.mark.mlflow, pytest.mark.keras, pytest.mark.slow]

# Epochs are mostly waiting, so that a busy machine makes neither training much longer.
PROGRAM = """
import json, os, sys, time, warnings
import keras, mlflow
import numpy as np
import kerasguard as kg

warnings.simplefilter("ignore")
direct, slow = sys.argv[1:]
x, y = np.ones((32, 3), "float32"), np.ones((32, 2), "float32")

class Epoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(0.5)

def fit(name):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")])
    model.compile("adam", "mse", run_eagerly=True)
    saved = keras.callbacks.ModelCheckpoint(name + "-{epoch}.keras")
    callbacks = [saved, kg.WeightManifestCallback(), Epoch()]
    start = time.monotonic()
    model.fit(x, y, epochs=6, verbose=0, callbacks=callbacks)
    return time.monotonic() - start

fit("warm")
without = min(fit("a"), fit("b"))
mlflow.set_tracking_uri(direct)
with mlflow.start_run() as run:
    mlflow.set_tracking_uri(slow)
    took = min(fit("slow"), fit("again"))
    print(json.dumps([without, took, run.info.run_id]), flush=True)
    mlflow.set_tracking_uri(direct)  # the end of the run is not what is asked about
"""


class Proxy:
    """Passes bytes on to a server, each connection after a while; None keeps them for ever."""

    def __init__(self, server: str, delay: float | None) -> None:
        parts = urlsplit(server)
        self.delay, self._to = delay, (parts.hostname, parts.port or 80)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._held.append(client)
                if self.delay is not None:
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), socket.create_connection(self._to) as server:
            threading.Thread(target=_pump, args=(server, client, 0.0), daemon=True).start()
            _pump(client, server, self.delay or 0.0)

    def close(self) -> None:
        self._listening.close()
        for client in self._held:
            client.close()


def _pump(source: socket.socket, target: socket.socket, delay: float) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            time.sleep(delay)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(server: str, delay: float | None) -> Iterator[Proxy]:
    one = Proxy(server, delay)
    try:
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("delay", [3.0, None], ids=["late", "never"])
def test_fit_takes_no_longer_and_everything_arrives_when_the_server_answers(
    mlflow_server: str, repository: Path, tmp_path: Path, delay: float | None
) -> None:
    environment = {
        **os.environ, "PYTHONPATH": str(repository), "KERASGUARD_OUTBOX": str(tmp_path / "outbox"),
    }  # fmt: skip
    with proxy(mlflow_server, delay) as slow:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, mlflow_server, slow.address],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("["))
        without, took, run_id = json.loads(line)
        print(f"without MLflow {without:.2f} s, with it {took:.2f} s")
        assert took <= 1.02 * without + 0.5
        assert list((tmp_path / "outbox").glob("*.parcel.json"))  # not all has arrived
        if delay is None:
            return
        slow.delay = 0.0
        synced = subprocess.run(
            [sys.executable, "-m", "kerasguard", "mlflow-sync", "--json"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert synced.returncode == 0, synced.stdout + synced.stderr
        assert not list((tmp_path / "outbox").iterdir())
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=mlflow_server)
    listed = client.list_artifacts(run_id, "kerasguard/manifests")
    names = {Path(item.path).name for item in listed}
    assert names == {
        f"{name}-{epoch}.keras.manifest.json" for name in ("slow", "again") for epoch in range(1, 7)
    }
    tags = client.get_run(run_id).data.tags
    assert tags["kg"] == "recorded, all finite"
    assert tags["kerasguard.manifest"].endswith("again-6.keras.manifest.json")
