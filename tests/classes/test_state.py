"""What a model has besides its weights: vocabularies, seeds, metrics, states of RNNs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from class_judge import Judge, fresh, predicts, randomised, recorded

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:.*HDF5 file")]
WORDS = ["a b c", "b c d", "c b"]


def pair(model: Any, folder: Path, name: str) -> tuple[Path, Path]:
    path = recorded(model, folder / name)
    return path, Path(shutil.copy(path, folder / f"alone.{name}"))


def lookup(words: list[str]) -> Any:
    layer = layers.StringLookup(vocabulary=words)
    return keras.Sequential([keras.Input((1,), dtype="string"), layer, layers.Embedding(4, 2)])


def test_vocab_not_in_weights(judge: Judge, golden: Any, tmp_path: Path) -> None:
    model = randomised(lookup(["fox", "dog", "cat"]))
    wanted = model.layers[0].get_vocabulary()
    path, bare = pair(model, tmp_path, "m.weights.h5")
    right = lambda m: m.layers[0].get_vocabulary() == wanted  # noqa: E731
    judge.recorded(path, lookup(["cat", "dog", "fox"]), right=right)
    judge.alone(bare, lookup(["cat", "dog", "fox"]))


def test_textvectorization_h5(judge: Judge, tmp_path: Path) -> None:
    layer = layers.TextVectorization(output_sequence_length=4)
    layer.adapt(WORDS)
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer, layers.Embedding(9, 2)])
    wanted = layer.get_vocabulary()
    path, bare = pair(model, tmp_path, "m.h5")
    judge.recorded(path, right=lambda m: m.layers[0].get_vocabulary() == wanted)
    judge.alone(bare)


def test_discretization_state(judge: Judge, tmp_path: Path) -> None:
    def build(scale: float) -> Any:
        layer = layers.Discretization(num_bins=4)
        layer.adapt(np.random.default_rng(1).normal(size=(99, 1)) * scale)
        return keras.Sequential([keras.Input((1,)), layer, layers.Embedding(4, 2)])

    model = build(1.0)
    wanted = list(model.layers[0].bin_boundaries)
    path, bare = pair(model, tmp_path, "m.weights.h5")
    right = lambda m: list(m.layers[0].bin_boundaries) == wanted  # noqa: E731
    judge.recorded(path, build(10.0), right=right)
    judge.alone(bare, build(10.0))


def test_rng_state(judge: Judge, tmp_path: Path, x: Any) -> None:
    def build() -> Any:
        return keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dropout(0.5, seed=3)])

    model = fresh(build)
    for _ in range(5):
        model(x, training=True)
    wanted = np.array(model.layers[1].seed_generator.state)

    def right(model: Any) -> bool:
        return bool((np.array(model.layers[1].seed_generator.state) == wanted).all())

    for name in ("m.keras", "m.weights.h5", "m.h5"):
        path, bare = pair(model, tmp_path, name)
        judge.recorded(path, fresh(build), right=right)
        judge.alone(bare, fresh(build))
    judge.recorded(tmp_path / "m.keras", right=right)


def test_metric_state(judge: Judge, tmp_path: Path, x: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mean_squared_error", metrics=["mean_absolute_error"], run_eagerly=True)
    model.train_on_batch(x, x[:, :2])
    wanted = [np.array(v) for v in model.metrics_variables]

    def right(model: Any) -> bool:
        found = [np.array(v) for v in model.metrics_variables]
        return len(found) == len(wanted) and all(map(np.array_equal, found, wanted))

    path, bare = pair(model, tmp_path, "m.keras")
    judge.recorded(path, right=right)
    judge.alone(bare)


def test_stateful_rnn(judge: Judge, tmp_path: Path) -> None:
    def build() -> Any:
        i = keras.Input(batch_shape=(2, 3, 4))
        return keras.Model(i, layers.LSTM(3, stateful=True)(i))

    model = fresh(build)
    x = np.random.default_rng(2).normal(size=(2, 3, 4)).astype("float32")
    model(x)
    path, bare = pair(model, tmp_path, "m.keras")
    judge.recorded(path, right=predicts(x, model(x)))
    judge.alone(bare)


def test_ema_not_in_weights(judge: Judge, tmp_path: Path, x: Any) -> None:
    def build() -> Any:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        optimizer = keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5)
        model.compile(optimizer, "mean_squared_error", run_eagerly=True)
        return model

    model = fresh(build)
    for _ in range(3):
        model.train_on_batch(x, x[:, :2])
    path, bare = pair(model, tmp_path, "m.weights.h5")
    model.optimizer.finalize_variable_values(model.trainable_variables)
    wanted = [w.numpy() for w in model.trainable_variables]

    def right(model: Any) -> bool:
        model.optimizer.finalize_variable_values(model.trainable_variables)
        found = [w.numpy() for w in model.trainable_variables]
        return all(map(np.array_equal, found, wanted))

    judge.recorded(path, fresh(build, seed=9), right=right)
    judge.alone(bare, fresh(build, seed=9), right=right)
