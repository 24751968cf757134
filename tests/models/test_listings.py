"""Legacy files of layers that hold, share or store what others do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_programs import PROGRAMS
from keras_zoo import MARKS

import kerasguard as kg

keras = pytest.importorskip("keras")
pytestmark = MARKS


def made(name: str, seed: int) -> Any:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model, _ = PROGRAMS[name]()
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape))
    return model


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        "tied_weights",
        "own_variables",
        "shared_sublayer",
        "shared_trunk",
        "two_holders_of_one_layer",
    ],
)
def test_a_legacy_file_goes_back_into_its_own_code(
    name: str, recorded: bool, tmp_path: Path
) -> None:
    saved = made(name, 1)
    path = tmp_path / "m.h5"
    if recorded:
        with kg.patched():
            saved.save(path)
    else:
        saved.save(path)
    fresh = made(name, 2)
    restored = kg.restore(path, model=fresh)
    for mine, theirs in zip(fresh.weights, saved.weights, strict=True):
        assert np.array_equal(mine, theirs)
    assert not [f for f in restored.report.findings if f.code in ("KG101", "KG102")]


def test_a_layer_that_was_shared_and_is_two_in_the_built_model_is_a_finding(tmp_path: Path) -> None:
    saved = made("shared_trunk", 1)
    saved.save(tmp_path / "m.h5")
    restored = kg.restore(tmp_path / "m.h5")
    assert len(restored.model.weights) == 8
    assert [f.code for f in restored.report.findings] == ["KG209"]


def test_one_variable_is_not_filled_from_two_that_differ(tmp_path: Path) -> None:
    def model(*, shared: bool) -> Any:
        x = keras.Input((4,))
        trunk = keras.layers.Dense(4, name="d")
        first = trunk(x)
        inner = trunk if shared else keras.layers.Dense(4, name="d")
        z = x if shared else keras.Input((4,))
        part = keras.Model(z, inner(z), name="part")
        return keras.Model(x, [keras.layers.ReLU()(first), keras.layers.ELU()(part(x))])

    model(shared=False).save(tmp_path / "m.h5")
    with pytest.raises(kg.UnrepairableError, match="KG209"):
        kg.load(tmp_path / "m.h5", model=model(shared=True))


@keras.saving.register_keras_serializable("listings")
class Halved(keras.layers.Layer):  # type: ignore[misc,name-defined]
    """Stores an array that it makes on the spot; a legacy file has its variable."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x: Any) -> Any:
        return x * self.scale

    def save_own_variables(self, store: Any) -> None:
        store["half"] = np.asarray(self.scale) / 2

    def load_own_variables(self, store: Any) -> None:
        self.scale.assign(np.asarray(store["half"]) * 2)


def test_a_layer_that_stores_arrays_of_its_making_has_its_variables_in_a_legacy_file(
    tmp_path: Path,
) -> None:
    def model() -> Any:
        return keras.Sequential([keras.Input((3,)), Halved(), keras.layers.Dense(2)])

    saved, fresh = model(), model()
    saved.layers[0].scale.assign([1.0, 2.0, 3.0])
    for name in ("m.h5", "m.keras"):
        saved.save(tmp_path / name)
        kg.load(tmp_path / name, model=fresh)
        assert np.array_equal(fresh.layers[0].scale, [1, 2, 3])
        fresh.layers[0].scale.assign([0.0, 0.0, 0.0])
