"""Keys that earlier versions of Keras gave to a model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from format_files import hdf5  # noqa: E402  needs h5py, which keras does too
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard.models.assign import Sink  # noqa: E402
from kerasguard.models.older_walk import habits_of, older_keys  # noqa: E402
from kerasguard.models.walk import walk  # noqa: E402

pytestmark = MARKS
layers = keras.layers


class Heads(keras.Model):  # type: ignore[misc,name-defined]
    """Layers in an attribute and in two dicts, one before and one behind `layers` by name."""

    def __init__(self, *held: str) -> None:
        super().__init__()
        self.body = layers.Dense(3, name="body")
        for name in held:
            pair = {key: layers.Dense(3, name=f"{name}_{key}") for key in "qa"}
            setattr(self, name, pair)
        self.held = held

    def call(self, x: Any) -> Any:
        x = self.body(x)
        for name in self.held:
            x = getattr(self, name)["q"](x) - 2 * getattr(self, name)["a"](x)
        return x


def made(*held: str) -> Heads:
    model = Heads(*held)
    model(np.zeros((1, 3), "float32"))
    return model


# As Keras 2.12.0, 2.15.0 and 3.3.3 wrote them; 2.14.0 by its source.
@pytest.mark.parametrize(
    ("version", "held", "paths"),
    [
        ("2.12.0", "parts", {"body": "body", "a": "layers/dense_1", "q": "layers/dense_2"}),
        ("2.14.0", "parts", {"body": "body", "a": "layers/dense", "q": "layers/dense_1"}),
        ("2.15.0", "parts", {"q": "parts/dense", "a": "parts/dense_1", "body": "layers/dense"}),
        ("3.3.3", "parts", {"body": "body", "q": "layers/dense_1", "a": "layers/dense_2"}),
        ("2.12.0", "heads", {"body": "body", "q": "heads/dense", "a": "heads/dense_1"}),
        (
            "2.15.0",
            "heads",
            {"body": "layers/dense", "a": "layers/dense_1", "q": "layers/dense_2"},
        ),
    ],
)
def test_what_is_reached_in_two_ways_has_the_key_of_the_first(
    version: str, held: str, paths: dict[str, str]
) -> None:
    (habits,) = habits_of(version)
    visits = [v for v in walk(made(held), habits) if v.path]
    found = {v.object.name.removeprefix(f"{held}_"): v.path for v in visits}
    assert found == paths


def test_an_unknown_version_may_have_had_any_of_the_habits() -> None:
    assert len(habits_of("")) == 5
    assert habits_of("2.11.0") == ()


def test_a_private_attribute_is_the_public_one_of_today() -> None:
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, layers.MultiHeadAttention(2, 2, name="mha")(inputs, inputs))
    today = "layers/multi_head_attention/query_dense/vars/0"
    old = today.replace("query", "_query")
    found = Sink(model).places
    assert older_keys(model, found, habits_of("2.15.0")[0], [old, "other"]) == {old: today}


def test_weights_of_an_unknown_writer_are_found_by_the_walk_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    rng, model = np.random.default_rng(2), made("heads")
    layout = {"body": "layers/dense", "heads_a": "layers/dense_1", "heads_q": "layers/dense_2"}
    kernels = {layer: rng.normal(size=(3, 3)).astype("float32") for layer in layout}
    tensors = {f"{layout[k]}/vars/0": kernel for k, kernel in kernels.items()}
    tensors |= {f"{layout[k]}/vars/1": np.zeros(3, "float32") for k in kernels}
    path.write_bytes(hdf5(tensors))
    kg.load(path, model)
    for layer in (model.body, *model.heads.values()):
        np.testing.assert_array_equal(layer.kernel, kernels[layer.name])
