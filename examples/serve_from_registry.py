"""From the registry to answers: a model that changed since it was logged is not served.

Needs `kerasguard[all]`: `python examples/serve_from_registry.py [FOLDER]`. What `pyfunc.load_model`
does here is what `mlflow models serve -m models:/pose@champion --env-manager local` does.
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

NAME = "pose"
X = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")


def register(seed: int) -> str:
    """Log a model that whatever loads it verifies, as a new version; returns its number."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8,), name="features")
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(inputs), name="pose")
    with mlflow.start_run():
        info = kerasguard.mlflow.log_model(
            model, name=NAME, registered_model_name=NAME, pip_requirements=["keras", "tensorflow"]
        )
    return str(info.registered_model_version)


def promote(version: str) -> None:
    """Make a version the one that is served, once it verifies."""
    kg.load(f"models:/{NAME}/{version}", compile=False)
    mlflow.MlflowClient().set_registered_model_alias(NAME, "champion", version)
    tags = mlflow.MlflowClient().get_model_version(NAME, version).tags
    print(f"version {version} is champion: {tags['kg']}, {tags['kerasguard.weights_digest']}")


def stored(version: str) -> Path:
    """The model's file in the store, where only its keeper should write."""
    client = mlflow.MlflowClient()
    source = client.get_model_version(NAME, version).source
    model = client.get_logged_model(source.removeprefix("models:/"))
    return Path(model.artifact_location.removeprefix("file://")) / "data" / "model.keras"


def main(folder: Path) -> None:
    os.environ.setdefault("KERASGUARD_OUTBOX", str(folder / "outbox"))
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.create_experiment("serving", artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment("serving")

    for seed in (1, 2):
        promote(register(seed))
        answers = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(X)
        print(f"served:   {np.round(answers[0], 3)}")

    # Somebody puts other weights of the same shapes into the store.
    place = stored("2")
    other = keras.saving.load_model(place)
    other.set_weights([w + 1 for w in other.get_weights()])
    other.save(place)
    stock = mlflow.keras.load_model(f"models:/{NAME}@champion").predict(X, verbose=0)
    print(f"stock:    {np.round(stock[0], 3)}, silently")
    try:
        mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    except kg.KerasguardError as error:
        print(f"refused:  {str(error).splitlines()[0]}")

    promote("1")  # back to the version that still is what was logged
    answers = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(X)
    print(f"served:   {np.round(answers[0], 3)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).absolute())
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
