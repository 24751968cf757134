"""Writes recorded checkpoints with whatever kerasguard this interpreter has.

    python write.py OUT

`<case>` is a checkpoint with its manifest (and companion), `<case>.npz` holds the input `x` and
the predictions `y`. OUT is then packed as `kerasguard<version>.tar.xz`. Never regenerate what is
committed: the files are what that version really wrote. The test that loads them builds the models
by the functions of this module.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

L = keras.layers


def functional() -> Any:
    """Calls with arguments, an operation with a constant, a state of an LSTM, dropout."""
    x = keras.Input((6, 8), name="x")
    h = L.MultiHeadAttention(2, 4, name="attend")(x, x, use_causal_mask=True)
    h = L.Dropout(0.25, seed=3, name="drop")(L.Dense(8, name="mix")(h) * 2.5)
    _, state, _ = L.LSTM(4, return_state=True, name="remember")(h)
    last = L.Dense(4, name="last")(h[:, -1])
    return keras.Model(x, L.Dense(2, name="head")(L.Add(name="sum")([state, last])))


class Branches(keras.Model):
    """Layers in a list, in a dict and under attributes, all of one shape."""

    def __init__(self) -> None:
        super().__init__(name="branches")
        self.before = L.Dense(8, name="before")
        self.parts = [L.Dense(8) for _ in range(2)]
        self.ways = {"query": L.Dense(8), "key": L.Dense(8)}

    def call(self, x: Any) -> Any:
        x = self.before(x)
        for index, part in enumerate(self.parts):
            x = part(x) * (index + 1.0)
        return self.ways["query"](x) - 2.0 * self.ways["key"](x)


def subclassed() -> Any:
    """As `Branches`, built."""
    model = Branches()
    model(np.zeros((1, 6, 8), "float32"))
    return model


def half() -> Any:
    """A model that computes in bfloat16."""
    x = keras.Input((6, 8), name="x")
    h = L.BatchNormalization(dtype="mixed_bfloat16", name="norm")(x)
    return keras.Model(x, L.Dense(3, dtype="mixed_bfloat16", name="head")(h))


CASES = {
    "functional.keras": functional,
    "functional.weights.h5": functional,
    "subclassed.weights.h5": subclassed,
    "half.keras": half,
}


def main(out: Path) -> None:
    """Write all cases."""
    import kerasguard

    out.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(0).normal(size=(4, 6, 8)).astype("float32")
    for name, build in CASES.items():
        keras.utils.set_random_seed(1)
        model = build()
        model.compile("adam", "mse")
        y = model.predict(x, verbose=0)
        model.fit(x, np.zeros_like(y), epochs=2, verbose=0)
        path = out / name
        (model.save_weights if name.endswith(".h5") else model.save)(path)
        kerasguard.record(path, model, probe="layers" if name == "functional.keras" else False)
        y = np.asarray(model(x), "float32")
        np.savez(out / f"{name}.npz", x=x, y=y)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
