"""Under a strategy every replica gets the same bytes; needs a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

keras = pytest.importorskip("keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]

SCRIPT = """
import warnings; warnings.simplefilter("ignore")
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from kerasguard.errors import RestoreError
from kerasguard.models import variables as keras_variables
from kerasguard.models.kerases import backends
from kerasguard.models.assign import Sink
from kerasguard.models.proof import replica_differences
from kerasguard.models.build import build
from kerasguard.models.live_model import architecture, model_table

def make():
    layers = keras.layers
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="dense"),
                              layers.BatchNormalization(), layers.Dense(1, name="head")])
    model.compile(keras.optimizers.Adam(), "mse")
    model.train_on_batch(np.random.rand(8, 3), np.ones((8, 1)))
    return model

plain = make()
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
values = {k: np.array(p.variable.numpy()) for k, p in Sink(plain).places.items()}
with strategy.scope():
    assert backends.active_strategy() is strategy
    built = build(architecture(plain))
    sink = Sink(built.model)
    sink.assign(values)
model = built.model
assert replica_differences(model) == {}
assert model_table(model) == model_table(plain)
for key, place in Sink(model).places.items():
    parts = backends.components(place.variable)
    assert len(parts) == 2, key
    for part in parts:
        np.testing.assert_array_equal(part.numpy(), values[key])

kernel = model.layers[0].kernel
parts = backends.components(kernel)
parts[1].assign(parts[1] + 1.0)
apart = float(np.max(np.abs(parts[1].numpy().astype("f8") - parts[0].numpy())))
assert abs(apart - 1.0) < 1e-6  # the sum was rounded to float32
assert replica_differences(model) == {"dense/kernel": apart}, replica_differences(model)

# A failed restore brings back each replica's own bytes, different as they are.
def failing(variable, array, way, write=keras_variables.write):
    if variable is sink.places["layers/dense_1/vars/1"].variable:
        raise OSError("no")
    write(variable, array, way)
before = [part.numpy() for part in parts]
good, keras_variables.write = keras_variables.write, failing
try:
    sink.assign({k: np.zeros_like(v) for k, v in values.items()})
except RestoreError:
    pass
else:
    raise AssertionError("no RestoreError")
keras_variables.write = good
for part, old in zip(parts, before):
    np.testing.assert_array_equal(part.numpy(), old)

sink.assign(values)
assert replica_differences(model) == {}
model.fit(np.random.rand(8, 3), np.ones((8, 1)), verbose=0)
assert int(model.optimizer.iterations.numpy()) == 2
print("all well")
"""


def test_every_replica_is_restored_and_compared(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.strip().endswith("all well"), done.stderr[-3000:]
