"""A second stage of training that unfreezes other layers takes no other variable's state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_zoo import MARKS

keras = pytest.importorskip("keras")
import kerasguard as kg  # noqa: E402

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:.*HDF5:UserWarning")]
X, Y = np.ones((8, 4), "float32"), np.ones((8, 4), "float32")


def net(frozen: str) -> Any:
    inputs = x = keras.Input((4,))
    for name in "abc":
        x = keras.layers.Dense(4, name=name)(x)
    model = keras.Model(inputs, x)
    model.get_layer(frozen).trainable = False
    model.compile("adam", "mse", run_eagerly=True)
    return model


def slots(model: Any) -> dict[str, np.ndarray]:
    return {v.path.partition("/")[2]: np.asarray(v) for v in model.optimizer.variables}


def loaded(path: Path, frozen: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    model = net(frozen)
    restored = kg.restore(path, model, manifest="ignore")
    return slots(model), {f.code: f.message for f in restored.report.findings}


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
def test_an_unrecorded_file_of_a_model_that_was_frozen_otherwise(tmp_path: Path, name: str) -> None:
    model = net("a")
    model.fit(X, Y, epochs=2, verbose=0)
    (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    same, _ = loaded(tmp_path / name, "a")
    assert all(np.array_equal(same[key], value) for key, value in slots(model).items())
    other, told = loaded(tmp_path / name, "b")
    assert "KG108" in told
    if name == "m.keras":  # its config says what was frozen, its slots have no names
        assert not other["a_kernel_momentum"].any()
        assert not other["c_kernel_momentum"].any()
        assert "different layers are trainable" in told["KG108"]
    elif name == "m.h5":  # its slots have names
        assert not other["a_kernel_momentum"].any()
        assert np.array_equal(other["c_kernel_momentum"], slots(model)["c_kernel_momentum"])
    else:
        assert "does not say which layers were frozen" in told["KG108"]


@pytest.mark.parametrize("way", ["whole", "fresh"])
@pytest.mark.parametrize("manifest", ["auto", "ignore"])
def test_slots_of_what_was_frozen_after_training_come_back(
    tmp_path: Path, manifest: Any, way: str
) -> None:
    """They are in the file under the names of their variables, for the day that these train on."""
    model = net("a")
    model.get_layer("a").trainable = True
    model.fit(X, Y, verbose=0)
    model.get_layer("b").trainable = False
    path = tmp_path / "m.h5"
    with kg.patched():
        model.save(path)
    restored = kg.restore(path, None if way == "whole" else net("b"), manifest=manifest)
    assert not restored.model.get_layer("b").trainable
    assert slots(restored.model).keys() == slots(model).keys()
    assert all(np.array_equal(slots(restored.model)[k], v) for k, v in slots(model).items())
    assert "KG108" not in {finding.code for finding in restored.report.findings}


def nested(thawed: str) -> Any:
    """A frozen model in which one layer was thawed again."""
    inputs = x = keras.Input((4,))
    for name in "abc":
        x = keras.layers.Dense(4, name=name)(x)
    inner = keras.Model(inputs, x, name="inner")
    outer = keras.Input((4,))
    model = keras.Model(outer, keras.layers.Dense(4, name="d")(inner(outer)))
    inner.trainable = False
    inner.get_layer(thawed).trainable = True
    model.compile("adam", "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize("way", ["whole", "fresh"])
def test_a_layer_that_was_thawed_in_a_frozen_model_trains(tmp_path: Path, way: str) -> None:
    model, path = nested("b"), tmp_path / "m.keras"
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(path)
    done = kg.restore(path, None if way == "whole" else nested("b"), manifest="ignore")
    assert not [str(f) for f in done.report.findings if f.severity.value != "info"]
    assert all(np.array_equal(slots(done.model)[k], value) for k, value in slots(model).items())
    told = {f.code: f.message for f in kg.plan(path, nested("c"), manifest="ignore").findings}
    assert "different layers are trainable" in told["KG108"]
