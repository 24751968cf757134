"""A training in an MLflow run: what the run tells of its weights, and what a load compares.

Needs `kerasguard[all]` and no server: `python examples/mlflow_tracking.py [FOLDER]`. The same runs
against `mlflow server` by setting MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import mlflow
import numpy as np

import kerasguard as kg
import kerasguard.mlflow

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(256, 8)).astype("float32")
Y = X @ RANDOM.normal(size=(8, 2)).astype("float32")


def network() -> keras.Model:
    inputs = keras.Input((8,), name="features")
    x = keras.layers.Dense(16, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(x), name="pose")


def train(folder: Path) -> tuple[str, keras.Model]:
    """Fit in a run; every checkpoint's manifest goes there, off the critical path."""
    model = network()
    model.compile(keras.optimizers.Adam(0.01), "mse")
    with mlflow.start_run(run_name="pose") as run:
        model.fit(
            X, Y, epochs=5, verbose=0,
            callbacks=[
                keras.callbacks.ModelCheckpoint(str(folder / "{epoch:02d}.keras")),
                kg.WeightManifestCallback(),
            ],
        )  # fmt: skip
        # One page about the whole run, beside the page of its last checkpoint.
        mlflow.log_text(kg.drift(folder).html, "kerasguard/run.html")
        mlflow.log_artifact(str(folder / "05.keras"), "checkpoints")
    kerasguard.mlflow.flush()  # at the end of a process this happens by itself
    return run.info.run_id, model


def told(run_id: str) -> None:
    """What anybody sees on the run's page: the verdict, and artifacts to open."""
    client = mlflow.MlflowClient()
    print("verdict:  ", client.get_run(run_id).data.tags["kg"])
    for place in ("kerasguard", "kerasguard/manifests"):
        for item in client.list_artifacts(run_id, place):
            if not item.is_dir:
                print("artifact: ", item.path)


def tamper(folder: Path) -> Path:
    """Other weights of the same shapes under the name of a checkpoint."""
    forged = folder / "forged" / "05.keras"
    forged.parent.mkdir()
    other = keras.saving.load_model(folder / "run" / forged.name)
    other.set_weights([weight + 1 for weight in other.get_weights()])
    other.save(forged)
    return forged


def main(folder: Path) -> None:
    os.environ.setdefault("KERASGUARD_OUTBOX", str(folder / "outbox"))
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        mlflow.create_experiment("pose", artifact_location=str(folder / "artifacts"))
        mlflow.set_experiment("pose")
    (folder / "run").mkdir()
    run_id, model = train(folder / "run")
    told(run_id)

    address = f"runs:/{run_id}/checkpoints/05.keras"
    loaded = kg.load(address)
    same = np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    print("loaded:   ", address, "predicts the same" if same else "predicts something else")

    # Somebody puts another file in its place. The run knows what was saved under that name.
    mlflow.MlflowClient().log_artifact(run_id, str(tamper(folder)), "checkpoints")
    try:
        kg.load(address)
    except kg.KerasguardError as error:
        print("replaced: ", type(error).__name__, str(error).splitlines()[1].strip())


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).absolute())
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
