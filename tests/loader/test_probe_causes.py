"""What only a probe notices: the weights are the same, and the model computes something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard.models import live_probe  # noqa: E402

pytestmark = MARKS
layers = keras.layers


def model_of(*inner: Any, shape: tuple[int, ...] = (4,)) -> Any:
    return keras.Sequential([keras.Input(shape), *inner])


def older_hard_sigmoid(x: Any) -> Any:
    """As Keras 2 had it."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


class Normalization(layers.Normalization):  # type: ignore[misc,name-defined]
    """Loads its mean and variance and goes on with what it had computed of the ones before."""

    def finalize_state(self) -> None:
        if getattr(self, "mean", None) is None:
            super().finalize_state()


def normalised(kind: Any, mean: float) -> Any:
    model = model_of(kind(axis=-1))
    model.layers[0].adapt(np.random.default_rng(0).normal(size=(50, 4)) + mean)
    return model


CAUSES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "an axis that the format dropped": (
        lambda: model_of(layers.Dense(3), layers.Softmax(axis=[1, 2]), shape=(5, 4)),
        lambda: model_of(layers.Dense(3), layers.Softmax(), shape=(5, 4)),
    ),
    "another default of ConvLSTM": (
        lambda: model_of(
            layers.ConvLSTM2D(2, 2, recurrent_activation="hard_sigmoid"), shape=(2, 4, 4, 1)
        ),
        lambda: model_of(layers.ConvLSTM2D(2, 2), shape=(2, 4, 4, 1)),
    ),
    "the hard_sigmoid of Keras 2": (
        lambda: model_of(layers.Dense(8, activation=older_hard_sigmoid)),
        lambda: model_of(layers.Dense(8, activation="hard_sigmoid")),
    ),
    "a normalisation that is not finalised": (
        lambda: normalised(layers.Normalization, 0.0),
        lambda: normalised(Normalization, 3.0),
    ),
    "another epsilon": (
        lambda: model_of(layers.LayerNormalization(epsilon=1e-3)),
        lambda: model_of(layers.LayerNormalization(epsilon=0.1)),
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_what_computes_something_else_with_the_same_weights_is_found(
    cause: str, tmp_path: Path
) -> None:
    first, second = CAUSES[cause]
    path, model, other = tmp_path / "m.weights.h5", first(), second()
    model.save_weights(path)
    kg.record(path, model, probe="layers")
    kg.load(path, first())
    before = [np.array(v) for v in other.variables]
    with pytest.raises(kg.UnrepairableError, match=r"KG501 .*first layer that differs") as caught:
        kg.load(path, other)
    assert {f.code for f in caught.value.report.unresolved} == {"KG501"}
    assert all(np.array_equal(a, v) for a, v in zip(before, other.variables, strict=True))


def scaled(factor: float) -> Any:
    return model_of(layers.Dense(8, name="first"), layers.Rescaling(factor, name="second"))


@pytest.mark.parametrize(("recorded_on", "found"), [("cpu", True), ("gpu", False)])
def test_another_device_may_round_otherwise(
    recorded_on: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model = tmp_path / "m.weights.h5", scaled(1.0)
    model.save_weights(path)
    monkeypatch.setattr(live_probe, "device", lambda _: recorded_on)
    manifest = kg.record(path, model, probe="layers")
    assert manifest.probe is not None
    assert manifest.probe["device"] == recorded_on
    monkeypatch.setattr(live_probe, "device", lambda _: "cpu")
    if found:
        with pytest.raises(kg.UnrepairableError, match="first layer that differs is second"):
            kg.load(path, scaled(1.0005))
    else:
        kg.load(path, scaled(1.0005))
    with pytest.raises(kg.UnrepairableError, match="KG501"):
        kg.load(path, scaled(1.05))  # no device explains that
