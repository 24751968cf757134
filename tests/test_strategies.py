"""A checkpoint goes from every strategy into every other, and a model never into a foreign one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.keras

FORMATS = (".keras", ".weights.h5", ".h5", "ckpt")
TRIALS = """
import sys, tempfile
from pathlib import Path
sys.argv = ["", tempfile.mkdtemp(), "keras"]
import strategy_grid as grid
import keras, tensorflow as tf, numpy as np
import kerasguard as kg
from kerasguard.storage import sidecar

folder = Path(sys.argv[1])
path = folder / "m.keras"
two, four, one = (grid.STRATEGIES[n] for n in ("Mirrored 2", "Mirrored 4", "OneDevice"))
plain, in_two, in_one = (grid.net(keras, s) for s in (None, two, one))
with kg.patched():
    in_two.save(path)                               # outside of the scope, as `fit` saves
told = sidecar.read(path).environment
assert (told["strategy"], told["replicas"]) == ("MirroredStrategy", 2), told

def refused(what, model=None, strategy=None):
    before = None if model is None else grid.state(model)
    try:
        kg.load(path, model, strategy=strategy)
    except kg.KerasguardError as error:
        assert what in str(error), error
        if model is not None:
            assert grid.equal(grid.state(model), before, len(before[0]))
    else:
        raise AssertionError(what)

refused("lives on no strategy", plain, two)
refused("lives on MirroredStrategy (2 replica(s)", in_two, four)
refused("lives on MirroredStrategy (2 replica(s)", in_two, one)
refused("lives on OneDeviceStrategy", in_one, tf.distribute.OneDeviceStrategy("CPU:2"))
refused("lives on no strategy (1 replica(s)", plain, one)
with two.scope():                                   # an open scope means the same
    refused("lives on no strategy", plain)
for same in (two, grid.mirrored(2)):
    kg.load(path, in_two, strategy=same)
kg.load(path, in_one, strategy=tf.distribute.OneDeviceStrategy("CPU:1"))

mesh = keras.distribution.DeviceMesh((2,), ["batch"], ["cpu:0", "cpu:1"])
spread = keras.distribution.DataParallel(device_mesh=mesh)
refused("distributes nothing with the tensorflow backend", None, spread)
refused("distributes nothing with the tensorflow backend", plain, spread)
keras.distribution.set_distribution(spread)
refused("distributes nothing with the tensorflow backend")
keras.distribution.set_distribution(None)

moving = in_two.layers[1].moving_mean.value.values
moving[1].assign(moving[0] + 0.25)
with kg.patched():
    in_two.save(path)
told = sidecar.read(path).environment
assert told["unequal_replicas"] == ["batch_normalization_1/moving_mean"], told
assert told["replicas_apart"] == {"batch_normalization_1/moving_mean": 0.25}, told
assert "apart by up to 0.25" in str(kg.restore(path).report)
print("all well")
"""


def run(repository: Path, *command: str) -> str:
    support = repository / "tests" / "support"
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": f"{repository}{os.pathsep}{support}"},
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_what_a_model_lives_on_is_asked_of_the_model(repository: Path) -> None:
    assert "all well" in run(repository, "-c", TRIALS)


@pytest.mark.grid  # many minutes
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_every_strategy_restores_what_every_other_saved(
    tmp_path: Path, repository: Path, name: str
) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    grid = repository / "tests" / "support" / "strategy_grid.py"
    told = run(repository, str(grid), str(tmp_path), name, *FORMATS)
    assert told.splitlines()[-1] == "192 of 192 cells", told
