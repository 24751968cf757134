"""Save under every strategy, restore under every other: a program that a test runs by itself.

    python strategy_grid.py FOLDER KERAS FORMAT ...

Logical devices have to be set before TensorFlow starts. Prints a line per cell that is not
restored bit for bit on every replica, optimizer included, and how many cells there were.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)

import kerasguard as kg  # noqa: E402
from kerasguard.models.kerases.backends import components  # noqa: E402

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def mirrored(count: int) -> Any:
    # Two sizes of it in one process take TensorFlow's own collectives apart.
    reduce = tf.distribute.ReductionToOneDevice()
    devices = [f"CPU:{i}" for i in range(count)]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduce)


STRATEGIES: dict[str, Any] = {
    "none": None,
    "OneDevice": tf.distribute.OneDeviceStrategy("CPU:1"),
    "Mirrored 2": mirrored(2),
    "Mirrored 4": mirrored(4),
}


def net(keras: Any, strategy: Any) -> Any:
    with tf.distribute.get_strategy().scope() if strategy is None else strategy.scope():
        layers = keras.layers
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(1)]
        )
        model.compile(keras.optimizers.Adam(0.1), "mse")
        model.optimizer.build(model.trainable_variables)
    return model


def fill(model: Any, seed: int) -> None:
    """Give everything but the scalars other values; what is compiled keeps its learning rate."""
    rng = np.random.default_rng(seed)
    for v in (*model.weights, *model.optimizer.variables):
        if tuple(v.shape):
            v.assign(rng.random(tuple(v.shape)).astype("float32"))
    model.optimizer.iterations.assign(seed)


_blanks: dict[tuple[str, int], Any] = {}


def blank(keras: Any, strategy: Any) -> Any:
    """A model that holds something else, built once."""
    key = keras.__name__, id(strategy)
    if key not in _blanks:
        _blanks[key] = net(keras, strategy)
    fill(_blanks[key], 2)
    return _blanks[key]


def saved(keras: Any, model: Any, path: Path) -> None:
    fill(model, 1)
    if path.name == "ckpt":
        if keras.__name__ == "keras":
            tf.train.Checkpoint(model=model).write(str(path))
        else:
            model.save_weights(str(path), save_format="tf")
    elif path.name.endswith(".weights.h5"):
        model.save_weights(str(path))
    else:
        model.save(str(path))


def state(model: Any) -> list[list[Any]]:
    """What every replica holds of every variable."""
    held = (*model.weights, *model.optimizer.variables)
    return [[np.asarray(part.numpy()) for part in components(v)] for v in held]


def equal(found: list[list[Any]], wanted: list[list[Any]], replicas: int) -> bool:
    return len(found) == len(wanted) and all(
        len(ours) == replicas and all(np.array_equal(part, theirs[0]) for part in ours)
        for ours, theirs in zip(found, wanted, strict=True)
    )


def restored(keras: Any, path: Path, strategy: Any, way: str) -> Any:
    """The model, by an open scope, by `strategy=`, or by a model that was built there."""
    built = keras.__name__ == "keras" and path.name != "ckpt"
    if way == "model":
        return kg.restore(path, blank(keras, strategy))
    if way == "strategy":
        given = {} if built else {"model": blank(keras, strategy)}
        return kg.restore(path, strategy=strategy, **given)
    with tf.distribute.get_strategy().scope() if strategy is None else strategy.scope():
        return kg.restore(path, **({} if built else {"model": blank(keras, strategy)}))


def main(folder: Path, name: str, formats: list[str]) -> None:
    keras, cells, bad = importlib.import_module(name), 0, 0
    for origin, from_ in STRATEGIES.items():
        for file in formats:
            path = folder / name / origin / file
            path.parent.mkdir(parents=True, exist_ok=True)
            model = blank(keras, from_)
            with kg.patched():
                saved(keras, model, path)
            wanted = state(model)
            for target, to in STRATEGIES.items():
                for way in ("scope", "strategy", "model"):
                    cells += 1
                    try:
                        again = restored(keras, path, to, way)
                        replicas = 1 if to is None else to.num_replicas_in_sync
                        fine = equal(state(again.model), wanted, replicas)
                        fine = fine and again.report.replicas == replicas
                    except kg.KerasguardError as error:
                        print(error)
                        fine = False
                    if not fine:
                        bad += 1
                        print("not restored:", name, origin, file, "->", target, "by", way)
    print(f"{cells - bad} of {cells} cells")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
