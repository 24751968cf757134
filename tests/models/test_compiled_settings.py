"""A loss or metric that a config tells in part is recorded, and comes back whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_zoo import MARKS

keras = pytest.importorskip("keras")
import kerasguard as kg  # noqa: E402
from kerasguard.models.compiled_settings import give_back, lost  # noqa: E402

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:.*HDF5:UserWarning")]
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = {"a": 3 * X, "b": X}


def net() -> Any:
    inputs = keras.Input((4,))
    outputs = {name: keras.layers.Dense(4, name=name)(inputs) for name in "ab"}
    model = keras.Model(inputs, outputs)
    losses = {"a": keras.losses.Huber(delta=0.3), "b": keras.losses.CosineSimilarity(axis=0)}
    metrics = {"a": ["mae"], "b": [keras.metrics.CosineSimilarity(axis=0)]}
    model.compile("sgd", losses, metrics=metrics, run_eagerly=True)
    return model


def trained(model: Any) -> Any:
    model.run_eagerly = True
    history = model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history
    return history, [np.asarray(v).tobytes() for v in model.weights]


@pytest.mark.parametrize("name", ["m.keras", "folder"])
def test_a_model_trains_by_the_loss_that_it_had(tmp_path: Path, name: str) -> None:
    model = net()
    trained(model)
    with kg.patched():
        keras.saving.save_model(model, tmp_path / name, zipped=name != "folder")
    loaded = kg.load(tmp_path / name)
    assert lost(loaded) == lost(model)
    assert trained(loaded) == trained(model)


def test_only_what_a_config_lacks_is_told_and_only_settings_are_set() -> None:
    model = net()
    told = lost(model)
    assert sorted(v for one in told.values() for v in one.values()) == [0, 0, 0.3]
    hostile = {place: {"delta": "x", "axis": [1], "fn": "os.system"} for place in told}
    give_back(model, {**hostile, "loss/9": {"delta": 1.0}, "metrics/0": 3})
    assert lost(model) == told
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    assert lost(plain) == {}
    plain.compile("sgd", keras.losses.BinaryCrossentropy(label_smoothing=0.1))
    assert lost(plain) == {}
