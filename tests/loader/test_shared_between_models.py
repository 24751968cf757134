"""A layer, or a model, that is part of several models in one model: one layer, not several."""

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

Build = Callable[[], Any]
Manifest = Literal["auto", "ignore"]


def _model(body: Callable[[Any], Any], name: str | None = None) -> Any:
    start = keras.Input((4,))
    return keras.Model(start, body(start), name=name)


def _dense(**options: Any) -> Any:
    return layers.Dense(4, **options)


def _layer() -> Any:
    one = _dense(activation="tanh")
    a, b = _model(lambda x: _dense()(one(x))), _model(lambda x: _dense()(one(x)))
    return _model(lambda x: layers.Concatenate()([a(x), b(x)]))


def _named() -> Any:
    one = _dense(activation="tanh", name="one")
    a, b = (_model(lambda x: _dense(name="last")(one(x)), name) for name in "ab")
    return _model(lambda x: b(a(x)))


def _without_weights() -> Any:
    one = layers.ReLU()
    a, b = _model(lambda x: one(_dense()(x))), _model(lambda x: one(_dense()(x)))
    return _model(lambda x: layers.Concatenate()([a(x), b(x)]))


def _inner_model() -> Any:
    one = _model(lambda x: layers.ReLU()(_dense()(_dense(activation="tanh")(x))))
    a, b = _model(lambda x: _dense()(one(x))), _model(lambda x: _dense()(one(x)))
    return _model(lambda x: layers.Concatenate()([a(x), b(x)]))


def _same_tensors() -> Any:
    start = keras.Input((4,))
    middle = _dense(activation="relu")(start)
    a, b = (keras.Model(start, end(middle)) for end in (_dense(), _dense()))
    return _model(lambda x: b(a(x)))


def _outside_too() -> Any:
    one = _dense(activation="tanh")
    a = _model(lambda x: _dense()(one(one(x))))
    return _model(lambda x: one(a(x)))


def _three_deep() -> Any:
    b = _model(lambda x: _dense(activation="tanh")(x))
    a = _model(lambda x: _dense()(b(x)))
    return _model(lambda x: b(a(b(x))))


def _chains() -> Any:
    b = keras.Sequential([keras.Input((4,)), _dense(activation="tanh"), layers.ReLU()])
    a = keras.Sequential([keras.Input((4,)), b, _dense()])
    c = keras.Sequential([keras.Input((4,)), _dense(), a, b])
    return _model(lambda x: c(b(a(x))))


MODELS = [
    *(_layer, _named, _without_weights, _inner_model, _same_tensors, _outside_too, _three_deep),
    _chains,
]


def _saved(build: Build, path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    keras.utils.clear_session()
    model = build()
    with kerasguard.patched():
        if path.name.endswith(".weights.h5"):
            model.save_weights(path)
        else:
            model.save(path)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    keras.utils.clear_session()
    return x, model.predict(x, verbose=0)


def _told(plan: Any) -> list[str]:
    return [f.code for f in plan.findings if f.severity is not Severity.INFO]


@pytest.mark.parametrize("manifest", ["auto", "ignore"])
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
@pytest.mark.parametrize("build", MODELS)
def test_the_code_that_saved_it_gets_it_without_a_word(
    build: Build, suffix: str, manifest: Manifest, tmp_path: Path
) -> None:
    x, before = _saved(build, tmp_path / f"m{suffix}")
    found = kerasguard.restore(tmp_path / f"m{suffix}", model=build(), manifest=manifest)
    assert _told(found.report.plan) == []
    np.testing.assert_allclose(found.model.predict(x, verbose=0), before, atol=1e-6)


@pytest.mark.parametrize("manifest", ["auto", "ignore"])
def test_a_whole_model_has_a_shared_layer_without_weights_twice(
    manifest: Manifest, tmp_path: Path
) -> None:
    x, before = _saved(_without_weights, tmp_path / "m.keras")
    found = kerasguard.restore(tmp_path / "m.keras", manifest=manifest)
    assert _told(found.report.plan) == []
    np.testing.assert_allclose(found.model.predict(x, verbose=0), before, atol=1e-6)


@pytest.mark.parametrize("manifest", ["auto", "ignore"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_what_another_code_does_with_it_is_told(
    suffix: str, manifest: Manifest, tmp_path: Path
) -> None:
    def other() -> Any:
        one = _dense(activation="tanh", name="one")
        a = _model(lambda x: one(_dense(name="last")(x)), "a")
        b = _model(lambda x: _dense(name="last")(one(x)), "b")
        return _model(lambda x: b(a(x)))

    _saved(_named, tmp_path / f"m{suffix}")
    plan = kerasguard.plan(tmp_path / f"m{suffix}", model=other(), manifest=manifest)
    assert _told(plan)
