"""Optimizer, loss and metrics of legacy files in Keras 3's form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.migrations.compile_arguments import compile_config_from


def test_an_adam_of_keras_2_keeps_its_arguments() -> None:
    stored = {
        "optimizer_config": {
            "class_name": "Adam",
            "config": {"name": "Adam", "lr": 0.5, "beta_1": 0.8, "decay": 0.0, "amsgrad": False},
        },
        "loss": "mse",
        "metrics": ["mae"],
    }
    found = compile_config_from(stored)
    assert found["optimizer"]["class_name"] == "Adam"
    assert found["optimizer"]["config"] == {"name": "Adam", "beta_1": 0.8, "learning_rate": 0.5}
    assert (found["loss"], found["metrics"]) == ("mse", ["mae"])


def test_decay_becomes_the_schedule_that_computes_the_same() -> None:
    config = {"learning_rate": 0.1, "decay": 0.01, "momentum": 0.9}
    stored = {"optimizer_config": {"class_name": "SGD", "config": config}}
    rate = compile_config_from(stored)["optimizer"]["config"]["learning_rate"]
    assert rate["class_name"] == "InverseTimeDecay"
    assert rate["config"] == {
        "initial_learning_rate": 0.1,
        "decay_steps": 1,
        "decay_rate": 0.01,
    }


def test_wrapped_metrics_become_the_function_that_they_wrap() -> None:
    wrapped = {"class_name": "MeanMetricWrapper", "config": {"name": "mae", "fn": "mae"}}
    loss = {"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "m"}}
    found = compile_config_from({"loss": {"out": loss}, "metrics": [[wrapped]]})
    assert found["metrics"] == [["mae"]]
    assert found["loss"]["out"]["module"] == "keras.losses"
    assert found["loss"]["out"]["config"] == {"name": "m"}


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match="Yogi"):
        compile_config_from({"optimizer_config": {"class_name": "Yogi", "config": {}}})


@pytest.mark.parametrize(
    ("wrapper", "key"),
    [("LossScaleOptimizer", "optimizer"), ("LossScaleOptimizerV3", "inner_optimizer")],
)
def test_an_optimizer_that_scaled_losses_is_the_one_inside(wrapper: str, key: str) -> None:
    inner = {"module": "keras.optimizers", "class_name": "Adam", "config": {"jit_compile": False}}
    stored = {"class_name": wrapper, "config": {key: inner, "dynamic": True}}
    found = compile_config_from({"optimizer_config": stored})["optimizer"]
    assert (found["class_name"], found["config"]) == ("Adam", {"learning_rate": 0.001})


def test_a_schedule_without_a_name_has_none() -> None:
    rate = {"class_name": "PolynomialDecay", "config": {"decay_steps": 3, "name": None}}
    stored = {"optimizer_config": {"class_name": "SGD", "config": {"learning_rate": rate}}}
    found = compile_config_from(stored)["optimizer"]["config"]["learning_rate"]
    assert found["config"] == {"decay_steps": 3}


def test_a_reduction_is_kept_and_an_output_without_metrics_has_none() -> None:
    loss = {"class_name": "MeanAbsoluteError", "config": {"reduction": "sum", "name": "m"}}
    found = compile_config_from({"loss": loss, "metrics": [["mae"], [None]]})
    assert found["loss"]["config"] == {"reduction": "sum", "name": "m"}
    assert found["metrics"] == [["mae"], None]
    assert compile_config_from({"loss": "logcosh"})["loss"] == "log_cosh"


def test_a_loss_that_is_a_lambda_is_not_in_the_file() -> None:
    with pytest.raises(ValueError, match="lambda"):
        compile_config_from({"loss": {"out": "<lambda>"}})


def test_an_optimizer_of_an_hdf5_file_of_keras_3_keeps_every_option() -> None:
    config = {"name": "mine", "learning_rate": 0.1, "nesterov": False, "weight_decay": None}
    stored = {"optimizer_config": {"class_name": "Muon", "config": config}}
    found = compile_config_from(stored, today=True)["optimizer"]
    several = {"class_name": "MultiOptimizer", "config": {"name": "m", "optimizer_map": {}}}
    made = compile_config_from({"optimizer_config": several}, today=True)["optimizer"]
    assert made["config"] == several["config"]  # there is no learning rate of its own
    assert (found["module"], found["class_name"]) == ("keras.optimizers", "Muon")
    assert found["config"] == config
    with pytest.raises(ValueError, match="Muon is not part"):
        compile_config_from(stored)  # whose LAMB, say, is another one than Keras 3's
    stored["optimizer_config"]["class_name"] = "Addons>Lamb"
    with pytest.raises(ValueError, match="Lamb is not part"):
        compile_config_from(stored, today=True)


@pytest.mark.keras
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", ["Lamb", "Muon", "ScheduleFreeAdamW", "Adam", "scaled Adam"])
def test_an_hdf5_file_of_keras_3_gives_its_optimizer_back(
    name: str, recorded: bool, tmp_path: Path
) -> None:
    import keras

    scaled, name = name.startswith("scaled"), name.rpartition(" ")[2]
    optimizer = getattr(keras.optimizers, name)(0.02, gradient_accumulation_steps=2)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer, "mse", run_eagerly=True)
    model.fit(np.ones((2, 3)), np.ones((2, 2)), epochs=2, verbose=0)
    path = tmp_path / "m.h5"
    with kg.patched(log_to_mlflow=False):
        model.save(path)
    found = kg.load(path, manifest="require" if recorded else "ignore").optimizer
    assert found.get_config() == optimizer.get_config()
    pairs = zip(found.variables, optimizer.variables, strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
