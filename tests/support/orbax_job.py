"""Steps of Keras' Orbax callback on one backend; also those that others left.

    orbax_job.py PACKAGES FOLDER NAME [BEFORE ...]

PACKAGES is a folder with Orbax and JAX, for an environment that has neither. Works in FOLDER/NAME,
and loads what lies in FOLDER/BEFORE. Prints a line per cell; the exit status tells whether all are
bit for bit as saved, but for the dtype of counters, of which JAX has 32 bits.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(sys.argv[1])

import keras
import numpy as np

import kerasguard as kg

KINDS = ("functional", "sequential")


def net(kind: str) -> Any:
    layers = keras.layers
    # Without a seed, PyTorch draws from a generator of its own, which no checkpoint holds.
    norm, drop = layers.BatchNormalization(name="norm"), layers.Dropout(0.1, seed=3, name="drop")
    if kind == "functional":
        inputs = keras.Input((8,))
        hidden = drop(norm(layers.Dense(16, activation="relu", name="inner")(inputs)))
        model = keras.Model(inputs, layers.Dense(4, name="head")(hidden), name="net")
    else:
        model = keras.Sequential([layers.Dense(16), norm, drop, layers.Dense(4)], name="net")
        model.build((None, 8))
    model.compile("adam", "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def state(model: Any) -> list[np.ndarray]:
    held = (*model.weights, *model.optimizer.variables)
    return [keras.ops.convert_to_numpy(v) for v in held]


def same(found: list[np.ndarray], wanted: list[np.ndarray]) -> bool:
    pairs = zip(found, wanted, strict=True)
    return all(
        a.tobytes() == (b.astype(a.dtype) if b.dtype.kind == "i" else b).tobytes() for a, b in pairs
    )


def left(folder: Path) -> Iterator[tuple[str, bool]]:
    """What `fit` with the callback leaves for the others."""
    x = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
    for kind in KINDS:
        root, model = folder / kind, net(kind)
        saving = keras.callbacks.OrbaxCheckpoint(root, max_to_keep=1)
        recording = kg.WeightManifestCallback(strict=True)
        model.fit(x, x[:, :4], epochs=2, verbose=0, callbacks=[saving, recording])
        np.savez(folder / f"{kind}.npz", *state(model))
        names = sorted(p.name for p in root.iterdir())
        yield f"{kind} saved", names == ["1", "1.manifest.json"] and kg.verify(root / "1").ok


def taken(folder: Path) -> Iterator[tuple[str, bool]]:
    """What lies there goes into a model that is built, and into one that is passed."""
    for kind in KINDS:
        stored = np.load(folder / f"{kind}.npz")
        wanted = [stored[f"arr_{i}"] for i in range(len(stored.files))]
        for policy in ("auto", "ignore"):
            for given in (None, net(kind)):
                found = kg.restore(folder / kind / "1", given, manifest=policy)
                label = f"{folder.name} {kind} manifest={policy}, "
                label += "built" if given is None else "given"
                yield label, same(state(found.model), wanted)


def main(folder: Path, name: str, *before: str) -> int:
    (folder / name).mkdir(parents=True)
    cells = list(left(folder / name))
    for one in (name, *before):
        cells += taken(folder / one)
    for label, fine in cells:
        print(f"{'ok  ' if fine else 'FAIL'} {label}", flush=True)
    return int(not all(fine for _, fine in cells))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(Path(sys.argv[2]), *sys.argv[3:]))
