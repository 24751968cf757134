"""Train, checkpoint, damage, refuse, repair, load; beside each step what stock Keras does.

Needs TensorFlow and nothing else: `python examples/quickstart.py [FOLDER]`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np

import kerasguard as kg

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(256, 8)).astype("float32")
Y = X @ RANDOM.normal(size=(8, 2)).astype("float32")


def network(*, output: str = "direction", dtype: str = "float32") -> keras.Model:
    """Two hidden layers and an output."""
    inputs = keras.Input((8,), name="features", dtype=dtype)
    x = keras.layers.Dense(8, activation="relu", name="coarse", dtype=dtype)(inputs)
    x = keras.layers.Dense(8, activation="relu", name="fine", dtype=dtype)(x)
    outputs = keras.layers.Dense(2, name=output, dtype=dtype)(x)
    return keras.Model(inputs, outputs, name="pose")


def stereo(*, left_first: bool) -> keras.Model:
    """`left(a) + right(b)`, or `right(b) + left(a)`: the same function of the same layers."""
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    left, right = keras.layers.Dense(4, name="left")(a), keras.layers.Dense(4, name="right")(b)
    both = keras.layers.Add(name="both")([left, right] if left_first else [right, left])
    return keras.Model([a, b], keras.layers.Dense(2, name="direction")(both), name="stereo")


class Experts(keras.layers.Layer):
    """Keeps its sublayers under a name that Keras uses itself, so Keras saves nothing of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._layers = [keras.layers.Dense(8, name=f"expert_{i}") for i in range(2)]

    def call(self, x: Any) -> Any:
        """Add up what the experts say."""
        return sum(layer(x) for layer in self._layers)


def experts() -> keras.Model:
    """A model with a custom layer."""
    inputs = keras.Input((8,), name="features")
    x = Experts(name="experts")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="direction")(x), name="mixture")


def title(text: str) -> None:
    print(f"\n== {text}")


def attempt(who: str, action: Callable[[], Any]) -> None:
    """Run `action` and print what came of it: its result, its warnings or its error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)  # between Keras and NumPy
        try:
            text = str(action())
        except Exception as error:  # noqa: BLE001  # it is what the reader came to see
            text = f"{type(error).__name__}: {error}"
    told = [f"{w.category.__name__}: {w.message}" for w in caught]
    lines = [line for line in "\n".join([*told, text]).splitlines() if line.strip()]
    shown = [f"{line[:167]}..." if len(line) > 170 else line for line in lines[:6]]
    print(f"   {who:<12} " + "\n                ".join(shown))


def apart(model: keras.Model, truth: np.ndarray) -> str:
    """How far the model's predictions are from those at save time."""
    return f"loaded; predictions differ by up to {np.abs(predict(model) - truth).max():.3g}"


def predict(model: keras.Model) -> np.ndarray:
    """The model's answers to a few samples, each of its inputs another one."""
    inputs = [X[32 * i : 32 * i + 32] for i in range(len(model.inputs))]
    return keras.ops.convert_to_numpy(model(inputs if len(inputs) > 1 else inputs[0]))


def stock(path: Path, truth: np.ndarray, model: keras.Model) -> str:
    """What `Model.load_weights` does with a checkpoint."""
    model.load_weights(path)
    return apart(model, truth)


def guarded(path: Any, truth: np.ndarray, **options: Any) -> str:
    """What kerasguard does with it, and why."""
    restored = kg.restore(path, **options)
    return f"{apart(restored.model, truth)}\n{restored.report}"


def saved(model: keras.Model, path: Path) -> np.ndarray:
    """Save weights with a manifest; returns what the model predicts."""
    with kg.patched():
        model.save_weights(path)
    return predict(model)


def train(folder: Path) -> tuple[Path, Path, np.ndarray]:
    title("Train; each checkpoint gets a manifest")
    model = network()
    model.compile("adam", "mse")
    model.fit(
        X, Y, epochs=2, verbose=0,
        callbacks=[
            keras.callbacks.ModelCheckpoint(str(folder / "{epoch:02d}.keras")),
            kg.WeightManifestCallback(),
        ],
    )  # fmt: skip
    model.save_weights(folder / "run.weights.h5")
    print("   written    " + " ".join(sorted(path.name for path in folder.iterdir())))
    whole, truth = folder / "02.keras", predict(model)
    attempt("stock", lambda: apart(keras.saving.load_model(whole), truth))
    attempt("kerasguard", lambda: guarded(whole, truth))
    return whole, folder / "run.weights.h5", truth


def renamed_output(weights: Path, truth: np.ndarray) -> None:
    title("The output layer was renamed between saving and loading")
    attempt("stock", lambda: stock(weights, truth, network(output="angle")))
    attempt("kerasguard", lambda: guarded(weights, truth, model=network(output="angle")))


def swapped_layers(folder: Path) -> None:
    title("Two layers of the same shape are used in another order")
    path = folder / "stereo.weights.h5"
    truth = saved(stereo(left_first=True), path)
    attempt("stock", lambda: stock(path, truth, stereo(left_first=False)))
    attempt("kerasguard", lambda: guarded(path, truth, model=stereo(left_first=False)))


def flipped_bit(weights: Path, truth: np.ndarray) -> None:
    title("One bit of the file flipped")
    damaged = weights.with_name("damaged.weights.h5")
    content = bytearray(weights.read_bytes())
    place = kg.inspect(weights).table.tensors["layers/dense/vars/0"].extent
    content[place.offset + 3] ^= 0x40
    damaged.write_bytes(content)
    manifest = weights.with_name(weights.name + ".manifest.json").read_text()
    damaged.with_name(damaged.name + ".manifest.json").write_text(manifest)
    attempt("stock", lambda: stock(damaged, truth, network()))
    attempt("kerasguard", lambda: guarded(damaged, truth, model=network()))


def too_precise(folder: Path) -> None:
    title("float64 weights for a float32 model")
    path = folder / "precise.weights.h5"
    truth = saved(network(dtype="float64"), path)
    attempt("stock", lambda: stock(path, truth, network()))
    attempt("kerasguard", lambda: guarded(path, truth, model=network()))
    attempt('with "lossy"', lambda: guarded(path, truth, model=network(), repair="lossy"))
    title("float64 arrays, from somewhere else, set into a float32 model")
    arrays = [RANDOM.normal(size=weight.shape) for weight in network().weights]
    named = {v.path: array for v, array in zip(network().weights, arrays, strict=True)}
    model = network()
    attempt("stock", lambda: model.set_weights(arrays) or "set and rounded, silently")
    attempt("kerasguard", lambda: guarded(named, predict(model), model=network()))


def unwritten(folder: Path) -> None:
    title("A custom layer whose weights Keras does not write")
    path, model = folder / "experts.weights.h5", experts()
    truth = predict(model)
    attempt("stock saves", lambda: model.save_weights(path) or "no objection")
    attempt("stock loads", lambda: stock(path, truth, experts()))
    attempt(
        "kerasguard", lambda: saved(model, path) is None or "saved, what Keras leaves out beside it"
    )
    attempt("", lambda: guarded(path, truth, model=experts()))


def main(folder: Path) -> None:
    """All steps, in a folder."""
    whole, weights, truth = train(folder)
    renamed_output(weights, truth)
    swapped_layers(folder)
    flipped_bit(weights, truth)
    too_precise(folder)
    unwritten(folder)
    title("Is the file as it was recorded? (needs no TensorFlow)")
    attempt("kerasguard", lambda: kg.verify(whole))


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
