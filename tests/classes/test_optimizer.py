"""Optimizer state: whose it is, what is missing, and what must not be overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from class_judge import Judge, fresh, recorded, seq

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:.*HDF5 file")]


def net(optimizer: Any = "adam", units: int = 2) -> Any:
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, activation="tanh"), layers.Dense(units)]
    )
    if optimizer is not None:
        model.compile(optimizer, "mean_squared_error", run_eagerly=True)
    return model


def trained(x: Any, optimizer: Any = "adam") -> Any:
    model = fresh(net, optimizer)
    for _ in range(3):
        model.train_on_batch(x, x[:, :2])
    return model


def pair(model: Any, folder: Path, name: str) -> tuple[Path, Path]:
    path = recorded(model, folder / name)
    return path, Path(shutil.copy(path, folder / f"alone.{name}"))


def state(optimizer: Any) -> list[Any]:
    return [np.array(v) for v in optimizer.variables]


def same_state(wanted: list[Any], *, but: str = "") -> Any:
    def right(model: Any) -> bool:
        variables = [v for v in model.optimizer.variables if not but or but not in v.path]
        found = [np.array(v) for v in variables]
        equal = len(found) == len(wanted) and all(map(np.array_equal, found, wanted))
        return equal and len(found) > 2

    return right


def goes_on(x: Any, model: Any) -> Any:
    """Whether the next step of training ends where that of the model does."""
    model.train_on_batch(x, x[:, :2])
    wanted = [np.array(w) for w in model.weights]

    def right(other: Any) -> bool:
        other.run_eagerly = True
        other.train_on_batch(x, x[:, :2])
        return all(
            np.allclose(np.array(a), b, atol=1e-6)
            for a, b in zip(other.weights, wanted, strict=True)
        )

    return right


def test_optimizer_class_swap(judge: Judge, tmp_path: Path, x: Any) -> None:
    path, bare = pair(trained(x, "rmsprop"), tmp_path, "m.weights.h5")
    for ask, file in ((judge.recorded, path), (judge.alone, bare)):
        model = fresh(net, keras.optimizers.SGD(0.01, momentum=0.9), seed=9)
        ask(file, model)
        momenta = [v for v in model.optimizer.variables if "momentum" in v.path]
        assert momenta
        assert not any(np.array(v).any() for v in momenta)


def test_learning_rate_overwritten(judge: Judge, tmp_path: Path, x: Any) -> None:
    model = trained(x, keras.optimizers.Adam(0.01))
    path, bare = pair(model, tmp_path, "m.weights.h5")

    def right(model: Any) -> bool:
        kept = float(model.optimizer.learning_rate) == np.float32(1e-5)
        return kept and int(np.array(model.optimizer.iterations)) == 3

    judge.recorded(path, fresh(net, keras.optimizers.Adam(1e-5)), right=right)
    judge.alone(bare, fresh(net, keras.optimizers.Adam(1e-5)), right=right)


def test_h5_optimizer_lost(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    model = trained(x)
    path, bare = pair(model, tmp_path, "m.h5")
    right = goes_on(x, model)
    judge.recorded(path, right=right)
    judge.alone(bare, right=right)
    for name in ("adam", "sgd", "rmsprop"):
        case = golden(name)
        judge.alone(case.path(".h5"), right=old_state(case))


def old_state(case: Any) -> Any:
    """Whether a model has the optimizer state that the old writer noted, slot by slot."""
    arrays = case.arrays
    slots = [arrays[k] for k in sorted(arrays) if k[0] == "o" and arrays[k].ndim]
    step = next(
        int(arrays[k]) for k in sorted(arrays) if k[0] == "o" and arrays[k].dtype.kind == "i"
    )

    def right(model: Any) -> bool:
        found = [np.array(v) for v in model.optimizer.variables if len(v.shape)]
        equal = len(found) == len(slots) and all(map(np.array_equal, found, slots))
        return equal and int(np.array(model.optimizer.iterations)) == step

    return right


def old_net(optimizer: Any) -> Any:
    model = seq(
        layers.Dense(4, activation="tanh"), layers.Dense(4, activation="tanh"), layers.Dense(1)
    )
    model.compile(optimizer, "mean_squared_error", run_eagerly=True)
    return model


def test_optimizer_k2_to_k3(judge: Judge, golden: Any) -> None:
    made = {
        "adam": "adam",
        "sgd": keras.optimizers.SGD(0.02, momentum=0.9),
        "rmsprop": keras.optimizers.RMSprop(0.003, momentum=0.5),
    }
    for name, optimizer in made.items():
        case = golden(name)
        judge.alone(case.path(".keras"), right=old_state(case))
        judge.alone(case.path(".weights.h5"), fresh(old_net, optimizer), right=old_state(case))
    case = golden("adam", "tf2.12.1")
    judge.alone(case.path(".weights.h5"), fresh(old_net, "adam"), right=old_state(case))
    judge.alone(
        golden("adam").path("_ckpt"), fresh(old_net, "adam"), right=old_state(golden("adam"))
    )
    for writer in ("keras3.3.3", "keras3.10.0"):
        case = golden("adam", writer)
        judge.alone(case.path(".keras"), right=old_state(case))
        judge.alone(case.path(".weights.h5"), fresh(old_net, "adam"), right=old_state(case))


def test_optimizer_unbuilt_skip(judge: Judge, tmp_path: Path, x: Any) -> None:
    model = trained(x)
    path, bare = pair(model, tmp_path, "m.weights.h5")
    right = same_state(state(model.optimizer))
    judge.recorded(path, fresh(net, "adam", seed=9), right=right)
    judge.alone(bare, fresh(net, "adam", seed=9), right=right)


def test_optimizer_count_mismatch(judge: Judge, tmp_path: Path, x: Any) -> None:
    path, bare = pair(trained(x), tmp_path, "m.weights.h5")

    def other() -> Any:
        return fresh(net, keras.optimizers.Adam(amsgrad=True), seed=9)

    judge.recorded(path, other())
    judge.alone(bare, other())


def test_legacy_h5_weights_no_optimizer(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    judge.alone(golden("adam").path("_weights.h5"), fresh(old_net, "adam"))


def test_optimizer_lr_decay_args(judge: Judge, golden: Any, tmp_path: Path) -> None:
    """Keras up to 2.2 called it `lr`; `decay` was a schedule."""
    path = tmp_path / "m.h5"
    case = golden("adam")
    shutil.copy(case.path(".h5"), path)
    with h5py.File(path, "r+") as file:
        training = json.loads(file.attrs["training_config"])
        config = training["optimizer_config"]["config"]
        config.pop("learning_rate")
        kept = {k: config[k] for k in ("beta_1", "beta_2", "epsilon", "amsgrad") if k in config}
        training["optimizer_config"] = {
            "class_name": "Adam",
            "config": {"lr": 0.01, "decay": 0.5, **kept},
        }
        file.attrs["training_config"] = json.dumps(training)

    def right(model: Any) -> bool:
        steps = int(np.array(model.optimizer.iterations))
        rate = float(model.optimizer.learning_rate)
        return steps > 0 and bool(np.isclose(rate, 0.01 / (1 + 0.5 * steps)))

    judge.alone(path, right=right)
    judge.alone(golden("decay").path(".h5"), right=lambda model: model.optimizer is not None)


def test_loss_alias_mse(judge: Judge, tmp_path: Path, x: Any) -> None:
    for loss in ("mse", "mae", "kld"):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation="softmax")])
        metrics = [] if loss == "kld" else [loss]
        model.compile("sgd", loss, metrics=metrics, run_eagerly=True)
        y = np.abs(x[:, :2])
        wanted = model.evaluate(x, y, verbose=0)

        def right(model: Any, y: Any = y, wanted: Any = wanted) -> bool:
            model.run_eagerly = True
            return bool(np.allclose(model.evaluate(x, y, verbose=0), wanted, atol=1e-5))

        path, bare = pair(model, tmp_path, f"{loss}.h5")
        judge.recorded(path, right=right)
        judge.alone(bare, right=right)
