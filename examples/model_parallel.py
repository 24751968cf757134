"""A model that is cut over eight devices, saved by Keras' Orbax callback, and loaded elsewhere.

Needs `pip install 'kerasguard[jax,orbax]'` and no accelerator: the eight devices are virtual.

    python examples/model_parallel.py [FOLDER]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import keras
import numpy as np

import kerasguard as kg


def cut(rows: int, columns: int) -> Any:
    """Kernels over the second axis of a mesh. `.*` stands for names that come and go."""
    mesh = keras.distribution.DeviceMesh((rows, columns), ("batch", "model"))
    table = keras.distribution.LayoutMap(mesh)
    table[".*kernel"] = (None, "model")
    return keras.distribution.ModelParallel(layout_map=table, batch_dim_name="batch")


def build() -> Any:
    layers = keras.layers
    parts = [layers.Dense(16, activation="relu"), layers.Dropout(0.2), layers.Dense(8)]
    model = keras.Sequential(parts, name="pose")
    model.build((None, 4))
    model.compile("adam", "mse")
    return model


def main(folder: Path) -> None:
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    keras.distribution.set_distribution(cut(2, 4))
    model = build()
    model.fit(
        x,
        np.tile(x, 2),
        epochs=3,
        verbose=0,
        callbacks=[
            keras.callbacks.OrbaxCheckpoint(folder / "run"),
            kg.WeightManifestCallback(),
        ],
    )
    step = folder / "run" / "2"
    wanted = [np.asarray(v) for v in (*model.weights, *model.optimizer.variables)]
    print(f"saved on {_devices(model)} devices: {kg.verify(step).verdict}")

    for name, distribution in (("1 x 8", cut(1, 8)), ("none", None)):
        keras.distribution.set_distribution(distribution)
        restored = kg.restore(step).model
        found = [np.asarray(v) for v in (*restored.weights, *restored.optimizer.variables)]
        equal = all(map(np.array_equal, found, wanted))
        print(f"mesh {name}: on {_devices(restored)} device(s), bit for bit: {equal}")

    data = next((step / "pytree" / "d").iterdir())
    damaged = bytearray(data.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    data.write_bytes(damaged)
    try:
        kg.load(step)
    except kg.UnrepairableError as error:
        print(f"one flipped bit: refused\n{error}")


def _devices(model: Any) -> int:
    return len(model.layers[0].kernel.value.sharding.device_set)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
