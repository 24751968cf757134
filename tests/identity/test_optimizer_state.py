"""Optimizer state goes by class, slot and weight; the learning rate by the caller's choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402

pytestmark = MARKS


def net(optimizer: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")])
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def trained(optimizer: Any) -> Any:
    model = net(optimizer)
    model.train_on_batch(np.ones((4, 3)), np.ones((4, 2)))
    return model


def state(model: Any) -> dict[str, Any]:
    """Slots by name, without the names of optimizer and model."""
    return {v.name.partition("head_")[2] or v.name: np.array(v) for v in model.optimizer.variables}


def codes(report: Any) -> set[str]:
    return {f.code for f in report.findings}


@pytest.mark.parametrize("recorded", [True, False])
def test_slots_of_another_class_are_never_taken_over(recorded: bool, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = trained(keras.optimizers.RMSprop(0.1))
    model.save_weights(path)
    if recorded:
        kg.record(path, model)
    other = net(keras.optimizers.SGD(0.2, momentum=0.9))
    report = kg.restore(path, other).report
    assert "another optimizer class" in report.optimizer
    assert not any(np.any(v) for k, v in state(other).items() if k != "learning_rate")


@pytest.mark.parametrize(("choice", "rate"), [("auto", 0.2), ("compiled", 0.2), ("stored", 0.1)])
def test_the_learning_rate_is_the_callers_choice(choice: Any, rate: float, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = trained(keras.optimizers.Adam(0.1))
    model.save_weights(path)
    other = net(keras.optimizers.Adam(0.2))
    report = kg.restore(path, other, learning_rate=choice).report
    assert report.optimizer == "restored"
    assert codes(report) == {"KG110"}
    found, expected = state(other), state(model)
    assert found.pop("learning_rate") == pytest.approx(rate)
    assert expected.pop("learning_rate") == pytest.approx(0.1)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[k], v) for k, v in expected.items())


def test_a_model_built_from_the_checkpoint_has_the_stored_rate(tmp_path: Path) -> None:
    model = trained(keras.optimizers.Adam(0.1))
    model.optimizer.learning_rate = 0.025
    model.save(tmp_path / "m.keras")
    again = kg.load(tmp_path / "m.keras")
    assert float(again.optimizer.learning_rate.numpy()) == pytest.approx(0.025)
    compiled = kg.load(tmp_path / "m.keras", learning_rate="compiled")
    assert float(compiled.optimizer.learning_rate.numpy()) == pytest.approx(0.025)


def test_a_schedule_in_the_model_leaves_the_stored_rate_aside(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = trained(keras.optimizers.Adam(0.1))
    model.save_weights(path)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.3, 10, 0.5)
    other = net(keras.optimizers.Adam(schedule))
    assert kg.restore(path, other).report.optimizer == "restored"
    expected = state(model)
    assert all(np.array_equal(expected[k], v) for k, v in state(other).items())


def test_moving_averages_are_kept_and_told_of(tmp_path: Path) -> None:
    model = trained(keras.optimizers.SGD(0.1, use_ema=True))
    model.save(tmp_path / "m.keras")
    restored = kg.restore(tmp_path / "m.keras")
    # KG106 is of the metric of the compiled model, which no file holds.
    assert codes(restored.report) == {"KG106", "KG111"}
    assert all(np.array_equal(state(restored.model)[k], v) for k, v in state(model).items())


def test_slots_in_legacy_hdf5_come_back_and_training_goes_on(tmp_path: Path) -> None:
    model = trained(keras.optimizers.Adam(0.1))
    model.save(tmp_path / "m.h5")
    again = kg.load(tmp_path / "m.h5")
    expected = state(model)
    assert all(np.array_equal(expected[k], v) for k, v in state(again).items())
    again.train_on_batch(np.ones((4, 3)), np.ones((4, 2)))
