"""Losses, metrics, schedules and optimizers of the caller's own in whole `.h5` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")]
PACKAGE = "compile-arguments"
X, Y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")


class OwnLoss(keras.losses.Loss):  # type: ignore[name-defined,misc]
    def __init__(self, weight: float = 1.0, name: str = "own", **more: Any) -> None:
        super().__init__(name=name, **more)
        self.weight = weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean((y_true - y_pred) ** 2, -1) * self.weight

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight": self.weight}


class OwnMetric(keras.metrics.Mean):  # type: ignore[name-defined,misc]
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true - y_pred, sample_weight)


class OwnRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[name-defined,misc]
    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate

    def __call__(self, step: Any) -> Any:
        return self.rate

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate}


class OwnAdam(keras.optimizers.Adam):  # type: ignore[name-defined,misc]
    pass


def own_error(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(y_true - y_pred), -1)


OWN = {c.__name__: c for c in (OwnLoss, OwnMetric, OwnRate, OwnAdam)}
KNOWN = {
    name: keras.saving.register_keras_serializable(PACKAGE)(type(f"Known{name}", (cls,), {}))
    for name, cls in OWN.items()
}


def arguments(kind: str, classes: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {"optimizer": "adam", "loss": "mean_squared_error"}
    if kind == "loss":
        given["loss"] = classes["OwnLoss"](2.0)
    elif kind == "losses":
        given["loss"] = [classes["OwnLoss"](2.0)]
    elif kind == "metric":
        given["metrics"] = [classes["OwnMetric"](name="m")]
    elif kind == "schedule":
        given["optimizer"] = keras.optimizers.SGD(classes["OwnRate"](0.25))
    elif kind == "optimizer":
        given["optimizer"] = classes["OwnAdam"](0.125)
    elif kind == "function":
        given |= {"loss": own_error, "metrics": [own_error]}
    else:
        given["optimizer"] = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.125))
    return given


def trained(given: dict[str, Any]) -> Any:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="d")])
    model.compile(**given)
    model.fit(X, Y, verbose=0)
    return model


def assert_trains_on_alike(loaded: Any, model: Any) -> None:
    assert type(loaded.optimizer) is type(model.optimizer)
    for _ in range(2):
        states = [np.asarray(v) for v in loaded.optimizer.variables]
        expected = [np.asarray(v) for v in model.optimizer.variables]
        assert len(states) == len(expected)
        for one, other in zip(states, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        assert loaded.fit(X, Y, verbose=0).history == model.fit(X, Y, verbose=0).history


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize(
    "kind", ["loss", "losses", "metric", "schedule", "optimizer", "function", "loss scaling"]
)
def test_a_legacy_file_is_compiled_with_what_the_caller_has(
    kind: str, registered: bool, recorded: bool, tmp_path: Path
) -> None:
    given = arguments(kind, KNOWN if registered else OWN)
    model, path = trained(given), tmp_path / "m.h5"
    if recorded:
        with kg.patched():
            model.save(path)
    else:
        model.save(path)
    mine = {"own_error": own_error} if registered else {**OWN, "own_error": own_error}
    done = kg.restore(path, custom_objects=mine)
    assert not [str(f) for f in done.report.findings if f.severity.value != "info"]
    assert_trains_on_alike(done.model, model)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_metric_that_nobody_supplies_is_named(recorded: bool, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    model = trained({"optimizer": "adam", "loss": "mse", "metrics": [own_error]})
    if recorded:
        with kg.patched():
            model.save(path)
    else:
        model.save(path)
    done = kg.restore(path)
    told = [f for f in done.report.findings if f.code == "KG430"]
    assert len(told) == 1
    assert "own_error" in told[0].message
    assert "custom_objects" in told[0].message
    assert not done.model.compiled


def test_a_file_has_no_registered_function_called_by_its_name(tmp_path: Path) -> None:
    name = f"{PACKAGE}>own_error"
    keras.saving.register_keras_serializable(PACKAGE)(own_error)
    try:
        path = tmp_path / "m.h5"
        trained({"optimizer": "adam", "loss": own_error}).save(path)
        told = [f for f in kg.plan(path).findings if f.code == "KG431"]
        assert len(told) == 1
        assert name in told[0].message
        passed = kg.restore(path, custom_objects={name: own_error})
        assert passed.model.compiled
    finally:
        keras.saving.get_custom_objects().pop(name)


def test_a_schedule_that_an_unrecorded_file_lost_is_named(tmp_path: Path) -> None:
    model = trained(arguments("schedule", KNOWN))
    model.save(tmp_path / "m.h5")  # Keras 3.15 drops the optimizer from the compile config
    model.save(path := tmp_path / "m.keras")
    if "optimizer" in model.get_compile_config():
        pytest.skip("this Keras keeps it")
    told = [str(f) for f in kg.plan(path).findings if f.code == "KG108"]
    assert any("learning_rate, which was a schedule" in text for text in told)
