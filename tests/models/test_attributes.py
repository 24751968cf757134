"""Checkpoints of TensorFlow's object graph, whose paths are a model's attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard

keras = pytest.importorskip("keras")
from kerasguard.models.assign import Sink  # noqa: E402  needs keras
from kerasguard.models.attributes import attribute_keys  # noqa: E402

pytestmark = pytest.mark.keras
layers = keras.layers


class Nested(keras.Model):  # type: ignore[misc,name-defined]  # Keras has no types
    def __init__(self) -> None:
        super().__init__()
        self.rows = [[layers.Dense(3), layers.Dense(3)], [layers.Dense(3)]]
        self.parts = {"z": layers.Dense(3), "a": layers.Dense(3)}
        self.inner = keras.Sequential([layers.Dense(3)])
        self.build((None, 3))

    def build(self, shape: Any) -> None:
        for layer in (*self.rows[0], *self.rows[1], *self.parts.values(), self.inner):
            layer.build(shape)
        self.built = True


PATHS = {
    f"{layer}/{variable}": (3, 3) if variable == "kernel" else (3,)
    for layer in ("rows/0/0", "rows/0/1", "rows/1/0", "parts/z", "parts/a", "inner/dense")
    for variable in ("kernel", "bias")
}


def test_layers_in_nested_lists_and_dicts_are_found_by_their_place(tmp_path: Path) -> None:
    import tensorflow as tf

    root, values = tf.Module(), {}
    for rank, (path, shape) in enumerate(PATHS.items()):
        here, edges = root, path.replace("inner/dense", "inner/layer_with_weights-0").split("/")
        for edge in edges[:-1]:
            if not hasattr(here, edge):
                setattr(here, edge, tf.Module())
            here = getattr(here, edge)
        values[path] = np.full(shape, rank, "float32")
        setattr(here, edges[-1], tf.Variable(values[path], name=edges[-1]))
    tf.train.Checkpoint(root).write(str(tmp_path / "ckpt"))
    model = Nested()
    kerasguard.load(tmp_path / "ckpt", model=model)
    held = {
        "rows/0/0": model.rows[0][0],
        "rows/0/1": model.rows[0][1],
        "rows/1/0": model.rows[1][0],
    }
    held |= {"parts/z": model.parts["z"], "parts/a": model.parts["a"]}
    held["inner/dense"] = model.inner.layers[0]
    for path, value in values.items():
        layer, _, variable = path.rpartition("/")
        np.testing.assert_array_equal(getattr(held[layer], variable), value, err_msg=path)


def test_paths_of_a_file_ask_no_property() -> None:
    model = Nested()
    sink = Sink(model)
    wrong = ("weights/0", "rows/7/0/kernel", "rows/x/kernel", "parts/b/kernel", "inner/layers/0")
    assert attribute_keys(model, sink.places, wrong) == {}
    assert len(attribute_keys(model, sink.places, ["rows/1/0/kernel"])) == 1
