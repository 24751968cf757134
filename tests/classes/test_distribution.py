"""Models on several replicas, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from class_judge import Judge

pytestmark = [pytest.mark.keras, pytest.mark.slow]

START = """
import sys, warnings
from pathlib import Path
from typing import TYPE_CHECKING
import keras, numpy as np, tensorflow as tf
import kerasguard as kg

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
layers, folder = keras.layers, Path(sys.argv[1])
x = np.random.default_rng(1).normal(size=(8, 4)).astype("float32") * np.arange(1, 9)[:, None]

def net():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.BatchNormalization()])
    model.compile(keras.optimizers.Adam(0.1), "mean_squared_error", run_eagerly=True)
    return model

def trained():
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = net()
    model.fit(x, x, batch_size=8, epochs=2, verbose=0, shuffle=False)
    return model

def save(model, name):
    with kg.patched(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.save_weights(folder / name) if "weights" in name else model.save(folder / name)
    return [str(w.message) for w in caught]

def state(model):
    return [np.array(v) for v in (*model.weights, *model.optimizer.variables)]

def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b))

def codes(restored):
    return {f.code for f in restored.report.findings}
"""

SLOTS = """
model = trained()
wanted = state(model)
for name in ("m.weights.h5", "alone.weights.h5"):
    save(model, name)
    if "alone" in name:
        (folder / f"{name}.manifest.json").unlink()
    with strategy.scope():
        other = net()
    restored = kg.restore(folder / name, other)
    assert restored.report.replicas == 2, restored.report
    assert same(state(other), wanted), name
    assert int(np.array(other.optimizer.iterations)) == 2
    other.fit(x, x, batch_size=8, verbose=0)
"""

SCOPE = """
model = trained()
wanted = state(model)
for name in ("m.keras", "alone.keras"):
    save(model, name)
    if "alone" in name:
        (folder / f"{name}.manifest.json").unlink()
    with strategy.scope():
        inside = kg.restore(folder / name)
    asked = kg.restore(folder / name, strategy=strategy)
    one = kg.restore(folder / name)
    assert [r.report.replicas for r in (inside, asked, one)] == [2, 2, 1]
    assert all(same(state(r.model), wanted) for r in (inside, asked, one))
    asked.model.fit(x, x, batch_size=8, verbose=0)
    try:
        kg.load(folder / name, one.model, strategy=strategy)
    except kg.KerasguardError as error:
        assert "lives on no strategy (1 replica(s), CPU:0), MirroredStrategy has 2" in str(error)
    else:
        raise AssertionError("a model of one replica was taken for one of two")
"""

REPLICA = """
model = trained()
moving = model.layers[-1].moving_mean
parts = [v.numpy() for v in moving.value.values]
assert not np.array_equal(*parts), "the replicas agree: nothing is tested"
told = save(model, "m.keras")
assert any("moving_mean" in line and "replica" in line for line in told), told
restored = kg.restore(folder / "m.keras")
assert "KG306" in codes(restored), restored.report
"""


def in_a_process(code: str, folder: Path, repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START + code, str(folder)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_dist_optimizer_slots(judge: Judge, tmp_path: Path, repository: Path) -> None:
    in_a_process(SLOTS, tmp_path, repository)
    judge.met("recorded", "alone")


def test_dist_scope(judge: Judge, tmp_path: Path, repository: Path) -> None:
    in_a_process(SCOPE, tmp_path, repository)
    judge.met("recorded", "alone")


def test_bn_replica0_only(judge: Judge, tmp_path: Path, repository: Path) -> None:
    in_a_process(REPLICA, tmp_path, repository)
    judge.met("recorded")
