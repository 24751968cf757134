"""Code of the user's own: missing, another one, or not to be run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest
from class_judge import Judge, predicts, recorded, seq

import kerasguard as kg

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:.*HDF5 file")]


def test_custom_function_same_name(judge: Judge, tmp_path: Path, x: Any) -> None:
    def squash(value: Any) -> Any:
        return keras.ops.tanh(value)

    def other(value: Any) -> Any:
        return keras.ops.sin(value)

    model = seq(layers.Dense(4, activation=squash))
    model.save(tmp_path / "m.keras")
    kg.record(tmp_path / "m.keras", model, probe=True)
    other.__name__ = "squash"
    judge.recorded(tmp_path / "m.keras", custom_objects={"squash": other})
    right = predicts(x, model(x))
    judge.recorded(
        tmp_path / "m.keras", custom_objects={"squash": squash}, right=right, instead="right"
    )


class Doubled(layers.Layer):  # type: ignore[misc,name-defined]
    """The user's own layer that the golden files hold."""

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(name="gain", shape=(int(shape[-1]),), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.gain * 2.0


def my_relu6(x: Any) -> Any:
    return keras.ops.minimum(keras.ops.relu(x), 6.0) * 1.5


def test_custom_layer_missing(
    judge: Judge, golden: Any, tmp_path: Path, x: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A class of the same name in a package of its own is another class.
    registered = keras.saving.get_custom_objects()
    monkeypatch.setitem(registered, "elsewhere>Doubled", layers.Activation)
    case = golden("custom_layer")
    for ending in (".h5", ".keras"):
        error = judge.alone(case.path(ending))
        assert "Doubled" in str(error)
        given = {"classes>Doubled": Doubled}
        judge.alone(case.path(ending), custom_objects=given, right=case.right, instead="right")
    model = seq(layers.Dense(4), Doubled())
    judge.recorded(recorded(model, tmp_path / "m.keras"))


def test_custom_activation_missing(judge: Judge, golden: Any) -> None:
    case = golden("custom_activation")
    for ending in (".h5", ".keras"):
        error = judge.alone(case.path(ending))
        assert "my_relu6" in str(error)
        given = {"my_relu6": my_relu6}
        judge.alone(case.path(ending), custom_objects=given, right=case.right, instead="right")


def test_lambda_safe_mode(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    case = golden("lambda")
    for ending in (".h5", ".keras"):
        judge.alone(case.path(ending))
        given = {"twice": lambda value: value * 2.0 + 1.0}
        judge.alone(
            case.path(ending), custom_objects=given, right=case.right, instead="right KG421"
        )
    model = seq(layers.Dense(3), layers.Lambda(lambda value: value * 3.0, name="thrice"))
    for name in ("m.keras", "m.h5"):
        path = recorded(model, tmp_path / name)
        bare = Path(shutil.copy(path, tmp_path / f"alone.{name}"))
        judge.recorded(path)
        judge.alone(bare)
        judge.recorded(
            path,
            custom_objects={"thrice": lambda value: value * 3.0},
            right=predicts(x, model(x)),
            instead="right KG421",
        )


def test_lambda_marshal(judge: Judge, golden: Any, tmp_path: Path) -> None:
    """Bytecode of another Python is refused as every bytecode is: nobody unmarshals it."""
    path = tmp_path / "m.h5"
    case = golden("lambda")
    shutil.copy(case.path(".h5"), path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layer = config["config"]["layers"][-1]["config"]
        layer["function"] = ["4wEAAAAAAAAA\n", None, None]
        layer["function_type"] = "lambda"
        file.attrs["model_config"] = json.dumps(config)
    judge.alone(path)
    given = {"twice": lambda value: value * 2.0 + 1.0}
    judge.alone(path, custom_objects=given, right=case.right, instead="right KG421")
