"""An `.h5` into code that was changed: it has a group for each layer, and no word of its parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import pytest
from keras import layers

import kerasguard
from kerasguard.planning.findings import Severity

Edit = dict[str, Any]


def _told(path: Path, model: Any, manifest: Literal["auto", "ignore"] = "auto") -> list[str]:
    plan = kerasguard.plan(path, model=model, manifest=manifest)
    assert not plan.unresolved
    return [f.code for f in plan.findings if f.severity is not Severity.INFO]


def _save(build: Callable[..., Any], path: Path) -> None:
    keras.utils.clear_session()
    with kerasguard.patched():
        build().save(path)
    keras.utils.clear_session()


class Held(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Holds layers in attributes, a list and a dict; `edit` stands for edited code."""

    edit: Edit = {}  # noqa: RUF012  # a test's

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        of = self.edit.get
        self.first = layers.LSTM(
            4,
            return_sequences=True,
            activation=of("lstm", "tanh"),
            go_backwards=of("backwards", False),
        )
        both = layers.LSTM(4, return_sequences=of("sequences", True))
        self.both = layers.Bidirectional(both, merge_mode=of("merge", "sum"))
        self.some = [layers.ReLU(negative_slope=of("slope", 0.1)), layers.Dense(4)]
        self.named = {"pool": layers.MaxPooling1D(2, strides=1, padding=of("padding", "same"))}
        self.last = layers.UnitNormalization(axis=of("axis", -1))
        self.timed = layers.TimeDistributed(layers.Dense(4, activation=of("timed", None)))

    def call(self, x: Any) -> Any:
        """All of them in a row."""
        x = self.both(self.first(x))
        if len(x.shape) == 2:
            x = keras.ops.repeat(x[:, None, :], 3, 1)
        x = self.some[1](self.some[0](x))
        return self.timed(self.last(self.named["pool"](x)))


def _held(**edit: Any) -> Any:
    Held.edit = edit
    model = Held()
    Held.edit = {}
    model(np.zeros((1, 3, 4), "float32"))
    return model


HELD: list[Edit] = [
    *({"lstm": "relu"}, {"backwards": True}, {"sequences": False}, {"merge": "mul"}),
    *({"slope": 0.5}, {"padding": "valid"}, {"axis": 1}, {"timed": "relu"}),
]


def test_the_same_code_gets_it_without_a_word(tmp_path: Path) -> None:
    _save(_held, tmp_path / "m.h5")
    assert _told(tmp_path / "m.h5", _held()) == []
    assert _told(tmp_path / "m.h5", _held()) == []  # other automatic names
    assert _told(tmp_path / "m.h5", _held(), "ignore") == []


@pytest.mark.parametrize("edit", HELD, ids=lambda edit: next(iter(edit)))
def test_edits_of_held_layers_are_told_of_a_recorded_one(edit: Edit, tmp_path: Path) -> None:
    _save(_held, tmp_path / "m.h5")
    assert set(_told(tmp_path / "m.h5", _held(**edit))) == {"KG107"}


class Block(layers.Layer):  # type: ignore[misc]
    """A layer that holds another; `edit` stands for edited code."""

    edit: Edit = {}  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner = layers.LSTM(4, return_sequences=True, activation=self.edit.get("lstm", "tanh"))

    def build(self, shape: Any) -> None:
        """Build what it holds."""
        self.inner.build(shape)

    def call(self, x: Any) -> Any:
        """Call what it holds."""
        return self.inner(x)


def _blocks() -> Any:
    start = keras.Input((3, 4))
    return keras.Model(start, Block(name="b")(Block(name="a")(start)))


@pytest.mark.parametrize("edit", [{}, {"lstm": "relu"}])
def test_an_edited_class_is_told_where_the_whole_is_loaded(edit: Edit, tmp_path: Path) -> None:
    _save(_blocks, tmp_path / "m.h5")
    Block.edit = edit
    try:
        plan = kerasguard.plan(tmp_path / "m.h5", custom_objects={"Block": Block})
        assert _told(tmp_path / "m.h5", _blocks()) == ["KG107"] * 2 * len(edit)
    finally:
        Block.edit = {}
    told = [f.code for f in plan.findings if f.severity is not Severity.INFO]
    assert told == ["KG107"] * 2 * len(edit)


def _graph(**edit: Any) -> Any:
    start = keras.Input((3, 4))
    x = layers.LSTM(4, return_sequences=True, activation=edit.get("lstm", "tanh"))(start)
    x = layers.TimeDistributed(layers.Dense(4, activation=edit.get("timed")))(x)
    x = layers.Bidirectional(layers.GRU(2, activation=edit.get("both", "tanh")))(x)
    return keras.Model(start, x)


@pytest.mark.parametrize("manifest", ["auto", "ignore"])
@pytest.mark.parametrize("edit", [{}, {"lstm": "relu"}, {"timed": "relu"}, {"both": "relu"}])
def test_edits_of_layers_whose_weights_are_their_parts_are_told(
    edit: Edit, manifest: Literal["auto", "ignore"], tmp_path: Path
) -> None:
    _save(_graph, tmp_path / "m.h5")
    assert _told(tmp_path / "m.h5", _graph(**edit), manifest) == ["KG107"] * len(edit)


@pytest.mark.parametrize("manifest", ["auto", "ignore"])
def test_layers_whose_configs_have_no_name_are_taken_in_order(
    manifest: Literal["auto", "ignore"], tmp_path: Path
) -> None:
    def named_backwards() -> Any:
        start = keras.Input((3, 4))
        last = Block()
        return keras.Model(start, last(Block()(start)))

    keras.utils.clear_session()
    model = named_backwards()
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    before = model.predict(x, verbose=0)
    with kerasguard.patched():
        model.save(tmp_path / "m.h5")
    keras.utils.clear_session()  # the names that Keras makes up are those of the other layer
    found = kerasguard.load(tmp_path / "m.h5", custom_objects={"Block": Block}, manifest=manifest)
    np.testing.assert_allclose(found.predict(x, verbose=0), before, atol=1e-6)
