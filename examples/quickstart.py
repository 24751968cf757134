"""Train, checkpoint, damage, refuse, repair, load; beside each step what stock Keras does.

Needs TensorFlow and nothing else: `python examples/quickstart.py [FOLDER]`.
"""

from __future__ import annotations

import os
import sys
import tempfile
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
    """Two hidden layers of the same shape, so that swapping them goes unnoticed."""
    inputs = keras.Input((8,), name="features", dtype=dtype)
    x = keras.layers.Dense(8, activation="relu", name="coarse", dtype=dtype)(inputs)
    x = keras.layers.Dense(8, activation="relu", name="fine", dtype=dtype)(x)
    outputs = keras.layers.Dense(2, name=output, dtype=dtype)(x)
    return keras.Model(inputs, outputs, name="pose")


def swapped() -> keras.Model:
    """The same names, but `fine` comes before `coarse`."""
    inputs = keras.Input((8,), name="features")
    x = keras.layers.Dense(8, activation="relu", name="fine")(inputs)
    x = keras.layers.Dense(8, activation="relu", name="coarse")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="direction")(x), name="pose")


class Experts(keras.layers.Layer):
    """Keeps its sublayers in a list of its own making, which Keras saves nothing of."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Create the sublayers where Keras does not look for them."""
        self._layers = [keras.layers.Dense(8, name=f"expert_{i}") for i in range(2)]
        for layer in self._layers:
            layer.build(shape)

    def call(self, x: Any) -> Any:
        """Add up what the experts say."""
        return sum(layer(x) for layer in self._layers)


def experts() -> keras.Model:
    """A model with a custom layer."""
    inputs = keras.Input((8,), name="features")
    x = Experts(name="experts")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="direction")(x))


def title(text: str) -> None:
    print(f"\n== {text}")


def attempt(who: str, action: Callable[[], Any]) -> Any:
    """Run `action`, print what came of it, return its result (None where it raised)."""
    try:
        result = action()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what the reader came to see
        text = f"{type(error).__name__}: {error}"
        result = None
    else:
        text = result if isinstance(result, str) else "no objection"
    lines = [line for line in text.splitlines() if line.strip()][:6]
    print(f"   {who:<10} " + "\n              ".join(line[:150] for line in lines))
    return result


def apart(model: keras.Model, truth: np.ndarray) -> str:
    """How far the model's predictions are from those at save time."""
    return f"loaded, predictions differ by up to {np.abs(predict(model) - truth).max():.3g}"


def predict(model: keras.Model) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(X[:32]))


def loaded(path: Path, truth: np.ndarray, **options: Any) -> str:
    """What kerasguard does with a checkpoint, in a line or more."""
    restored = kg.restore(path, **options)
    return f"{apart(restored.model, truth)}\n{restored.report}"


def stock(path: Path, truth: np.ndarray, model: keras.Model) -> str:
    """What `Model.load_weights` does with it."""
    model.load_weights(path)
    return apart(model, truth)


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
    attempt("kerasguard", lambda: loaded(whole, truth))
    return whole, folder / "run.weights.h5", truth


def renamed_output(weights: Path, truth: np.ndarray) -> None:
    title("The output layer was renamed between saving and loading")
    attempt("stock", lambda: stock(weights, truth, network(output="angle")))
    attempt("kerasguard", lambda: loaded(weights, truth, model=network(output="angle")))


def swapped_layers(weights: Path, truth: np.ndarray) -> None:
    title("Two layers of the same shape changed places")
    attempt("stock", lambda: stock(weights, truth, swapped()))
    attempt("kerasguard", lambda: loaded(weights, truth, model=swapped()))


def flipped_bit(weights: Path, truth: np.ndarray) -> None:
    title("One bit of the file flipped")
    damaged = weights.with_name("damaged.weights.h5")
    content = bytearray(weights.read_bytes())
    place = kg.inspect(weights).table.tensors["layers/dense/vars/0"].extent
    content[place.offset + 3] ^= 0x40
    damaged.write_bytes(content)
    manifest = weights.with_name(weights.name + ".manifest.json").read_text()
    damaged.with_name(damaged.name + ".manifest.json").write_text(
        manifest.replace(weights.name, damaged.name)
    )
    attempt("stock", lambda: stock(damaged, truth, network()))
    attempt("kerasguard", lambda: loaded(damaged, truth, model=network()))


def too_precise(folder: Path) -> None:
    title("float64 weights for a float32 model")
    precise = network(dtype="float64")
    path, truth = folder / "precise.weights.h5", predict(precise)
    with kg.patched():
        precise.save_weights(path)
    attempt("stock", lambda: stock(path, truth, network()))
    attempt("kerasguard", lambda: loaded(path, truth, model=network()))
    attempt("lossy", lambda: loaded(path, truth, model=network(), repair="lossy"))


def unwritten(folder: Path) -> None:
    title("A custom layer that the format cannot carry")
    model = experts()
    path, truth = folder / "experts.weights.h5", predict(model)
    with kg.patched():
        model.save_weights(path)
    attempt("stock", lambda: stock(path, truth, experts()))
    attempt("kerasguard", lambda: loaded(path, truth, model=experts()))


def main(folder: Path) -> None:
    whole, weights, truth = train(folder)
    renamed_output(weights, truth)
    swapped_layers(weights, truth)
    flipped_bit(weights, truth)
    too_precise(folder)
    unwritten(folder)
    title("What is in the file (kg.verify needs no TensorFlow)")
    attempt("kerasguard", lambda: str(kg.verify(whole)))


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
