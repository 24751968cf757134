"""What an optimizer was told not to decay is not decayed after a load, either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_zoo import MARKS

keras = pytest.importorskip("keras")
import kerasguard as kg  # noqa: E402
from kerasguard.models.walk import walk  # noqa: E402
from kerasguard.models.weight_decay import undecayed  # noqa: E402

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:.*HDF5:UserWarning")]
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


def decaying(wrapped: bool) -> tuple[Any, Any]:
    inner = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    outer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0) if wrapped else inner
    return inner, outer


def net(excluded: str, *, wrapped: bool = False) -> Any:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), keras.layers.Dense(4)])
    inner, outer = decaying(wrapped)
    if excluded == "by a part of the name":
        inner.exclude_from_weight_decay(var_names=["bias"])
    elif excluded == "by variable":
        inner.exclude_from_weight_decay(var_list=[model.layers[1].kernel])
    model.compile(outer, "mse", run_eagerly=True)
    return model


def told(model: Any) -> dict[str, list[str]]:
    return undecayed(model, tuple(walk(model)))


def trained(model: Any) -> list[bytes]:
    model.run_eagerly = True
    model.fit(X, X, epochs=1, shuffle=False, verbose=0)
    return [np.asarray(v).tobytes() for v in (*model.weights, *model.optimizer.variables)]


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "folder"])
@pytest.mark.parametrize("excluded", ["nothing", "by a part of the name", "by variable"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_was_excluded_stays_excluded(
    tmp_path: Path, name: str, excluded: str, wrapped: bool
) -> None:
    if wrapped and name != "m.keras":
        pytest.skip("a matter of the optimizer, not of the format")
    model = net(excluded, wrapped=wrapped)
    trained(model)
    with kg.patched():
        if name == "folder":
            keras.saving.save_model(model, tmp_path / name, zipped=False)
        else:
            model.save(tmp_path / name)
    loaded = kg.load(tmp_path / name)
    assert told(loaded) == told(model)
    assert sum(map(len, told(model).values())) == {"nothing": 0, "by variable": 1}.get(excluded, 2)
    assert trained(loaded) == trained(model)


def test_a_model_that_was_never_trained_keeps_it_too(tmp_path: Path) -> None:
    model = net("by a part of the name")
    with kg.patched():
        model.save(tmp_path / "m.keras")
    assert told(kg.load(tmp_path / "m.keras")) == told(model) != {}


def test_the_callers_optimizer_is_the_callers(tmp_path: Path) -> None:
    with kg.patched():
        net("by variable").save_weights(tmp_path / "m.weights.h5")
    model = net("by a part of the name")
    before = told(model)
    kg.load(tmp_path / "m.weights.h5", model)
    assert told(model) == before
