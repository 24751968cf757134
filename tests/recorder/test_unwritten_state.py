"""A legacy HDF5 file holds one optimizer; what it lacks of the others is kept beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_zoo import MARKS

keras = pytest.importorskip("keras")
import kerasguard as kg  # noqa: E402

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:.*HDF5:UserWarning")]
L = keras.layers
X, Y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")


def gan(names: tuple[str, str] = ("g", "d"), *, front: bool = False) -> Any:
    """A critic with an optimizer of its own inside a model with another."""
    generator = keras.Sequential(
        [keras.Input((3,)), L.Dense(4, name="a"), L.Dense(6)], name=names[0]
    )
    critic = keras.Sequential([keras.Input((6,)), L.Dense(4, name="a"), L.Dense(1)], name=names[1])
    critic.compile(keras.optimizers.Adam(0.02), "mse", run_eagerly=True)
    z = keras.Input((3,))
    start = keras.Sequential([keras.Input((3,)), L.ReLU()], name="front")(z) if front else z
    model = keras.Model(z, critic(generator(start)))
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def critic_state(model: Any) -> list[np.ndarray]:
    critic = model.layers[-1]
    return [np.asarray(v) for v in (*critic.weights, *critic.optimizer.variables)]


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    model = gan()
    model.fit(X, Y, verbose=0)
    model.layers[-1].fit(np.ones((8, 6)), Y, epochs=3, verbose=0)
    with kg.patched():
        model.save(tmp_path / "m.h5")
    return tmp_path / "m.h5", critic_state(model)


def equal(found: list[np.ndarray], wanted: list[np.ndarray]) -> bool:
    return len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


@pytest.mark.parametrize("into", [lambda: None, gan], ids=["whole", "the same code"])
def test_an_h5_file_brings_the_state_of_a_part_s_optimizer_back(
    trained: tuple[Path, list[np.ndarray]], into: Any
) -> None:
    path, wanted = trained
    restored = kg.restore(path, into())
    assert equal(critic_state(restored.model), wanted)
    assert wanted[4] == 3  # iterations
    assert [f.code for f in restored.report.findings if f.severity.value != "info"] == []


def test_state_of_a_part_is_restored_or_reported_where_names_have_changed(
    trained: tuple[Path, list[np.ndarray]],
) -> None:
    path, wanted = trained
    model = gan(("x", "y"))
    restored = kg.restore(path, model)
    told = {f.code for f in restored.report.findings}
    assert equal(critic_state(model), wanted) or "KG108" in told


def test_a_model_without_weights_in_front_leads_no_state_astray(
    trained: tuple[Path, list[np.ndarray]],
) -> None:
    """The critic lies under another key of the walk then."""
    path, wanted = trained
    model = gan(front=True)
    restored = kg.restore(path, model)
    told = {f.code for f in restored.report.findings}
    assert equal(critic_state(model)[:4], wanted[:4])
    assert equal(critic_state(model), wanted) or "KG108" in told
