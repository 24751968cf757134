"""A stored architecture and the live model built from it have the same layer records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS, ZOO  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard.blueprint.architecture import layer_records  # noqa: E402
from kerasguard.models.live_graph import layer_digest  # noqa: E402
from kerasguard.models.live_model import architecture, model_table  # noqa: E402

pytestmark = MARKS
layers = keras.layers


@pytest.mark.parametrize("kind", sorted(set(ZOO) - {"subclassed"}))
def test_architecture_and_live_model_agree(kind: str) -> None:
    model = ZOO[kind]()
    stored = architecture(model)
    assert stored is not None
    records = layer_records(stored)
    live = model_table(model).layers
    assert records
    assert {key: replace(live[key], use=None) for key in records} == records
    assert all(record.config_digest for record in records.values())
    # What the architecture does not spell out lies inside a layer that it does, or optimises.
    rest = {key for key in set(live) - set(records) if key.partition("/")[0] != "optimizer"}
    assert all(any(key.startswith(f"{k}/") for k in records) for key in rest)


@pytest.mark.parametrize("kind", sorted(set(ZOO) - {"subclassed"}))
def test_a_rebuilt_model_has_the_same_layer_records(kind: str) -> None:
    model = ZOO[kind]()
    rebuilt = (
        keras.models.clone_model(model)
        if kind == "functional"
        else type(model).from_config(model.get_config())
    )
    own = {key: r for key, r in model_table(model).layers.items() if r.config_digest}
    again = model_table(rebuilt).layers
    assert {key: r for key, r in again.items() if r.config_digest} == own


def test_the_graph_names_who_feeds_whom() -> None:
    found = model_table(ZOO["functional"]()).layers
    shared = found["layers/dense"]
    assert shared.name == "shared"
    assert shared.inbound == (
        (("layers/input_layer", 0, 0),),
        (("layers/input_layer_1", 0, 0),),
    )
    assert found["layers/concatenate"].inbound == (
        (("layers/dense_1", 0, 0), ("layers/dense", 1, 0)),
    )
    assert found["operations/add"].class_name == "Add"
    assert [r.position for r in found.values()].count(0) == 1


def test_calls_of_a_nested_model_count_from_zero() -> None:
    model = ZOO["nested"]()
    stored = architecture(model)
    assert stored is not None
    for records in (layer_records(stored), model_table(model).layers):
        assert records["layers/functional"].inbound == (
            (("layers/input_layer", 0, 0),),
            (("layers/functional", 0, 0),),
            (("layers/input_layer", 0, 0),),
        )
        assert records["layers/sequential"].inbound == ((("layers/functional", 1, 0),),)


def test_names_and_initialisers_do_not_change_a_digest_but_sizes_do() -> None:
    def digest(**kwargs: Any) -> str:
        x = keras.Input((3,))
        model = keras.Model(x, layers.Dense(**{"units": 2, **kwargs})(x))
        return model_table(model).layers["layers/dense"].config_digest

    base = digest()
    assert digest(name="other", kernel_initializer="zeros", trainable=False) == base
    assert digest(kernel_regularizer="l2", dtype="mixed_float16") == base
    assert digest(units=3) != base
    assert digest(activation="relu") != base
    assert digest(use_bias=False) != base


def test_a_nested_model_has_the_digest_of_its_graph_whatever_its_layers_are_called() -> None:
    def digest(name: str, activation: str = "relu") -> str:
        inner_input = keras.Input((3,), name=f"{name}_input")
        inner = layers.Dense(2, name=name, activation=activation)(inner_input)
        x = keras.Input((3,))
        model = keras.Model(x, keras.Model(inner_input, inner, name=f"{name}_model")(x))
        found = model_table(model).layers["layers/functional"].config_digest
        stored = architecture(model)
        assert stored is not None
        assert layer_records(stored)["layers/functional"].config_digest == found
        return found

    assert digest("a") == digest("b")
    assert digest("a") != digest("a", "tanh")


def test_parts_of_a_stock_layer_have_no_digest_but_parts_of_ones_own_do() -> None:
    attention = model_table(ZOO["attention"]()).layers
    assert attention["layers/multi_head_attention/query_dense"].config_digest == ""
    own = model_table(ZOO["subclassed"]()).layers
    assert own["blocks/block/first"].config_digest.startswith("xxh3:")


def test_a_model_that_is_no_graph_has_no_records_in_its_architecture() -> None:
    assert layer_records({"class_name": "Mine", "config": {"units": 3}}) == {}
    assert layer_records({"class_name": "Mine", "config": {"layers": 3}}) == {}


def test_the_architecture_is_left_as_it_was() -> None:
    stored = architecture(ZOO["nested"]())
    assert stored is not None
    before = json.dumps(stored)
    layer_records(stored)
    assert json.dumps(stored) == before


def test_what_a_config_holds_of_an_initialiser_under_another_key_counts() -> None:
    class Scaled(layers.Layer):  # type: ignore[misc,name-defined]
        def __init__(self, start: Any, **rest: Any) -> None:
            super().__init__(**rest)
            self.start = keras.initializers.get(start)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "start": keras.initializers.serialize(self.start)}

    def digest(inner: Any) -> str:
        return layer_digest(layers.TimeDistributed(inner), {})

    assert digest(Scaled("ones")) == digest(Scaled("ones"))
    assert digest(Scaled("ones")) != digest(Scaled("zeros"))
    plain, other = (layers.Dense(2, kernel_initializer=start) for start in ("ones", "zeros"))
    assert digest(plain) == digest(other)


@keras.saving.register_keras_serializable("graph")
class NoConfig(keras.layers.Layer):  # type: ignore[misc,name-defined]
    """A layer whose config asks for an attribute that it does not have."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(3)

    def build(self, shape: Any) -> None:
        self.inner.build(shape)

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layers": self.no_such_attribute}


def test_a_config_that_raises_costs_only_what_needed_it(tmp_path: Path) -> None:
    def model() -> Any:
        x = keras.Input((3,))
        return keras.Model(x, keras.layers.Dense(2)(NoConfig()(x)))

    saved, fresh = model(), model()
    path = tmp_path / "m.weights.h5"
    with kg.patched():
        saved.save_weights(path)
    assert kg.verify(path).origin == "recorded"
    restored = kg.restore(path, model=fresh)
    assert not restored.report.findings
    assert all(np.array_equal(a, b) for a, b in zip(saved.weights, fresh.weights, strict=True))
    kg.record(path, saved)
