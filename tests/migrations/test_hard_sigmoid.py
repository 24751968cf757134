from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal


def old_hard_sigmoid(x: Any) -> Any:
    return np.clip(np.float32(0.2) * x + np.float32(0.5), 0, 1)


def test_the_old_function_is_made_of_layers_that_every_keras_3_has(migrated: Any) -> None:
    found = migrated({"class_name": "Dense", "config": {"units": 2, "activation": "hard_sigmoid"}})
    activation = found.config["activation"]
    assert activation["class_name"] == "Pipeline"
    assert [x["class_name"] for x in activation["config"]["layers"]] == ["Rescaling", "ReLU"]
    assert all(x["module"] == "keras.layers" for x in activation["config"]["layers"])
    assert "KG409" in found.codes()


def test_keras_3_keeps_its_own_function(migrated: Any) -> None:
    layer = {"class_name": "Dense", "config": {"units": 2, "activation": "hard_sigmoid"}}
    found = migrated(layer, writer={"keras": "3.15.1", "config": "keras3"})
    assert found.config["activation"] == "hard_sigmoid"


@pytest.mark.parametrize("kind", ["ConvLSTM2D", "LSTM", "GRU"])
def test_a_missing_gate_activation_is_the_old_default(migrated: Any, kind: str) -> None:
    found = migrated({"class_name": kind, "config": {"units": 2}}, writer={"keras": "2.0.5"})
    assert found.config["recurrent_activation"]["class_name"] == "Pipeline"


@pytest.mark.keras
def test_it_computes_the_same_bits_as_keras_2_did(migrated: Any, build: Callable[..., Any]) -> None:
    layer = {"class_name": "Activation", "config": {"activation": "hard_sigmoid"}}
    x = np.linspace(-4, 4, 64, dtype="float32").reshape(16, 4)
    assert_array_equal(np.asarray(build(migrated(layer).new)(x)), old_hard_sigmoid(x))


@pytest.mark.keras
def test_a_recurrent_layer_with_it_survives_saving_by_keras(
    migrated: Any, build: Callable[..., Any], tmp_path: Any
) -> None:
    import keras

    config = {"units": 3, "recurrent_activation": "hard_sigmoid"}
    model = build(migrated({"class_name": "LSTM", "config": config}, (5, 4)).new)
    x = np.random.default_rng(0).normal(size=(2, 5, 4)) * 3
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert_array_equal(np.asarray(again(x)), np.asarray(model(x)))
