"""Models of every size and shape come back as they were: large, many, empty, oddly named."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras


def long_names() -> Any:
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, name="a" * 250)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="größe_模型_" + "b" * 200)(hidden))


def chain(layers: int) -> Any:
    inputs = keras.Input((2,))
    x = inputs
    for number in range(layers):
        x = keras.layers.Dense(2, name=f"a_layer_with_a_long_name_{'x' * 200}_{number:05d}")(x)
    return keras.Model(inputs, x)


@keras.saving.register_keras_serializable("test_sizes")
class Odd(keras.layers.Layer):  # type: ignore[misc,name-defined]
    def build(self, _: object) -> None:
        self.empty = self.add_weight(shape=(0, 4), name="empty")
        self.scale = self.add_weight(shape=(), name="scale", initializer="ones")
        self.hollow = self.add_weight(shape=(3, 0, 2), name="hollow")

    def call(self, x: Any) -> Any:
        return x * self.scale


def odd_shapes() -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(Odd(name="odd")(inputs)))


def attributes_over_64_kib() -> Any:
    """Keras cuts the list of layers' names into several HDF5 attributes."""
    return chain(300)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *itertools.product((long_names, odd_shapes), ("m.keras", "m.h5", "m.weights.h5")),
        pytest.param(attributes_over_64_kib, "m.h5", marks=pytest.mark.slow),
    ],
)
def test_an_odd_model_comes_back_as_it_was(
    make: Callable[[], Any], name: str, tmp_path: Path
) -> None:
    model, path = make(), tmp_path / name
    with kg.patched(strict=True):
        (model.save_weights if "weights" in name else model.save)(path)
    assert kg.verify(path).ok
    for manifest in ("require", "ignore"):
        assert_same(model, kg.restore(path, make(), manifest=manifest))
    if "weights" not in name:
        assert_same(model, kg.restore(path, manifest="require"))


@pytest.mark.parametrize("shards", [40, pytest.param(1_000, marks=pytest.mark.slow)])
def test_weights_in_many_shards_come_back_as_they_were(shards: int, tmp_path: Path) -> None:
    """A kernel of 16 bytes and a bias of 8 go into two shards of at most 20."""
    model = chain(shards // 2)
    with kg.patched(strict=True):
        model.save_weights(tmp_path / "m.weights.json", max_shard_size=20 / 1024**3)
    assert len(list(tmp_path.glob("m_*.weights.h5"))) == shards
    assert kg.verify(tmp_path / "m.weights.json").ok
    assert_same(model, kg.restore(tmp_path / "m.weights.json", chain(shards // 2)))


@pytest.mark.slow
def test_a_model_of_more_than_2_gib_is_recorded_verified_and_loaded(tmp_path: Path) -> None:
    """CPython writes a zip64 end record from 2^31 - 1 on, and the classic one in full, too."""
    inputs = keras.Input((8192,))
    x = inputs
    for number in range(9):
        x = keras.layers.Dense(8192, kernel_initializer="ones", name=f"d{number}")(x)
    model, path = keras.Model(inputs, x), tmp_path / "large.keras"
    model.layers[-1].kernel.assign(keras.ops.full((8192, 8192), 3.0))
    with kg.patched(strict=True):
        model.save(path)
    assert path.stat().st_size > 2.2 * 2**30
    del model, x, inputs
    keras.utils.clear_session()
    assert kg.verify(path).ok
    restored = kg.restore(path, manifest="require")
    last = np.asarray(restored.model.layers[-1].kernel)
    assert last.min() == last.max() == 3.0
    assert all(outcome.proven for outcome in restored.report.outcomes)


def assert_same(model: Any, restored: Any) -> None:
    """The weights are equal, and nothing but information was found."""
    for mine, other in zip(model.weights, restored.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(other))
    assert not [f for f in restored.report.findings if f.severity is not kg.Severity.INFO]
