"""A probe tells whether a restored model computes what it did when it was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard import errors  # noqa: E402
from kerasguard.models import live_probe  # noqa: E402
from kerasguard.planning.findings import Severity  # noqa: E402
from kerasguard.storage import sidecar  # noqa: E402

pytestmark = MARKS
layers = keras.layers


def relu_like(x: Any) -> Any:
    return keras.ops.relu(x)


def otherwise(x: Any) -> Any:
    return keras.ops.relu(x) * 1.01


def net(function: Any = relu_like) -> Any:
    inputs = keras.Input((4,))
    x = layers.Dense(8, name="first")(inputs)
    x = layers.Dense(8, activation=function, name="second")(x)
    return keras.Model(inputs, layers.Dense(2, name="third")(layers.Dropout(0.5)(x)))


def test_a_function_of_the_same_name_that_computes_something_else_is_found(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.keras"
    with kg.patched(probe="layers", strict=True):
        net().save(path)
    assert kg.verify(path).ok
    assert kg.restore(path, custom_objects={"relu_like": relu_like}).report.findings == ()
    with pytest.raises(kg.UnrepairableError, match=r"KG501 .*first layer that differs is second"):
        kg.load(path, custom_objects={"relu_like": otherwise})
    kg.load(path, custom_objects={"relu_like": otherwise}, probe=False)


def test_a_model_that_fails_the_probe_holds_what_it_held_before(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = net()
    model.save_weights(path)
    kg.record(path, model, probe=True)
    other = net(otherwise)
    before = [np.array(v) for v in other.variables]
    with pytest.raises(kg.UnrepairableError, match="KG501") as caught:
        kg.load(path, other)
    assert [f.code for f in caught.value.report.unresolved] == ["KG501"]
    assert all(np.array_equal(a, v) for a, v in zip(before, other.variables, strict=True))
    same = net()
    kg.load(path, same)
    x = np.ones((1, 4))
    assert np.array_equal(same(x), model(x))


def test_inputs_fit_what_consumes_them() -> None:
    words, ids = keras.Input((3,), dtype="string"), keras.Input((None,), name="ids")
    ids_of_words = layers.StringLookup(vocabulary=["q"])(layers.Reshape((3,))(words))
    text = layers.Embedding(4, 2)(ids_of_words)
    number = layers.Embedding(7, 2)(layers.Reshape((-1,))(ids))
    pooled = [layers.GlobalAveragePooling1D()(part) for part in (text, number)]
    model = keras.Model([words, ids], layers.Concatenate()(pooled))
    told, kept = live_probe.make(model, True)
    assert told["inputs"][0]["words"][:2] == ["[UNK]", "q"]
    assert told["inputs"][1] == {
        "shape": [2, 16], "dtype": "float32", "low": 0.0, "high": 7.0, "whole": True,
    }  # fmt: skip
    assert kept["probe/output/0"].shape == (2, 4)
    assert len(np.unique(kept["probe/output/0"])) > 1


def test_a_sequential_and_what_it_embeds_can_be_probed() -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Embedding(5, 2), layers.Flatten()])
    told, kept = live_probe.make(model, "layers")
    assert told["inputs"][0]["high"] == 5.0
    assert [layer["name"] for layer in told["layers"]] == [layer.name for layer in model.layers]
    assert kept["probe/output/0"].shape == (2, 6)


def test_a_probe_changes_neither_seeds_nor_states() -> None:
    @keras.saving.register_keras_serializable("kerasguard_tests")
    class Noisy(layers.Layer):  # type: ignore[misc,name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.seed_generator = keras.random.SeedGenerator(3)

        def call(self, x: Any) -> Any:
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seed_generator)

    inputs = keras.Input(batch_shape=(3, 2, 4))
    model = keras.Model(inputs, layers.GRU(2, stateful=True)(Noisy()(inputs)))
    model(np.ones((3, 2, 4)))
    before = [np.array(v) for v in (*model.variables, *model.layers[-1].states)]
    first, second = (live_probe.make(model, True)[1] for _ in range(2))
    assert np.array_equal(first["probe/output/0"], second["probe/output/0"])
    after = [np.array(v) for v in (*model.variables, *model.layers[-1].states)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_model_that_never_does_the_same_gets_no_probe(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    noise = np.random.default_rng()
    model = keras.Model(inputs, layers.Lambda(lambda x: x + noise.normal())(inputs))
    with pytest.raises(errors.ModelError, match="each time"):
        live_probe.make(model, True)
    with (
        kg.patched(probe=True),
        pytest.warns(UserWarning, match="recorded without a probe"),
    ):
        model.save_weights(tmp_path / "m.weights.h5")
    found = sidecar.read(tmp_path / "m.weights.h5")
    assert found is not None
    assert found.probe is None


def test_an_input_of_ones_own_is_kept(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("kerasguard_tests")
    class Named(keras.Model):  # type: ignore[misc,name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.head = layers.Dense(1)

        def call(self, x: Any) -> Any:
            return {"y": self.head(x["a"] + x["b"])}

    x = {"a": np.ones((2, 3), "float32"), "b": np.full((2, 3), 2.0, "float32")}
    model = Named()
    model(x)
    model.save(tmp_path / "m.keras")
    with pytest.raises(errors.ModelError, match="probe=x"):
        kg.record(tmp_path / "m.keras", model, probe=True)
    kg.record(tmp_path / "m.keras", model, probe=x)
    again = Named()
    again(x)
    kg.load(tmp_path / "m.keras", again)
    assert np.array_equal(again(x)["y"], model(x)["y"])
    model.head.kernel.assign(model.head.kernel + 1)
    with pytest.raises(errors.ModelError, match="has changed since"):
        kg.record(tmp_path / "m.keras", model, probe=x)


def test_a_model_of_several_workers_is_never_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model = tmp_path / "m.weights.h5", net()
    model.save_weights(path)
    kg.record(path, model, probe=True)

    class Cluster:
        @staticmethod
        def as_dict() -> dict[str, list[str]]:
            return {"worker": ["a:1", "b:1"]}

    resolver = type("Resolver", (), {"cluster_spec": lambda self: Cluster})()
    strategy = type("Strategy", (), {"cluster_resolver": resolver})()
    monkeypatch.setattr(keras.Model, "distribute_strategy", strategy)
    finding = kg.restore(path, model=net(otherwise)).report.findings[-1]
    assert (finding.code, finding.severity) == ("KG502", Severity.INFO)
    assert "several workers" in finding.message
    with pytest.raises(errors.ModelError, match="several workers"):
        kg.record(path, model, probe=True)
