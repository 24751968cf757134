"""Two checkpoints on the disk: what differs, and by how much; what a notebook shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.errors import ArgumentError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras


def _model() -> Any:
    layers = [
        keras.Input((3,)),
        keras.layers.Dense(4, name="body"),
        keras.layers.Dense(2, name="head"),
    ]
    return keras.Sequential(layers)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Any, Path]:
    model = _model()
    with kg.patched():
        model.save(tmp_path / "first.keras")
    return model, tmp_path


def test_a_difference_is_measured(saved: tuple[Any, Path]) -> None:
    model, folder = saved
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([kernel * 1.5, bias])
    with kg.patched():
        model.save(folder / "second.keras")
    (change,) = kg.compare(folder / "first.keras", folder / "second.keras")
    assert (change.kind, change.name) == ("values", "head/kernel")
    assert change.distance == pytest.approx(0.5)
    assert change.largest == pytest.approx(float(np.abs(kernel).max()) / 2, rel=1e-5)
    assert "50.00%" in change.what


def test_what_became_nan_is_told(saved: tuple[Any, Path]) -> None:
    model, folder = saved
    kernel, bias = model.get_layer("head").get_weights()
    kernel[0, 0] = np.nan
    model.get_layer("head").set_weights([kernel, bias])
    with kg.patched():
        model.save(folder / "second.keras")
    (change,) = kg.compare(folder / "first.keras", folder / "second.keras")
    assert "1 element became" in change.what
    assert change.distance is None


def test_a_checkpoint_is_as_itself(saved: tuple[Any, Path]) -> None:
    path = saved[1] / "first.keras"
    assert kg.compare(path, path) == ()


def test_what_a_notebook_shows_is_short_and_escaped(saved: tuple[Any, Path]) -> None:
    path = saved[1] / "first.keras"
    for shown in (kg.inspect(path), kg.verify(path), kg.plan(path), kg.restore(path)):
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 300
        assert "<" in shown._repr_html_()
    assert len(kg.inspect(path).rows()) == 4
    assert kg.inspect(path).rows()[0]["tensor"] == "body/kernel"
    assert len(kg.verify(path, statistics=True).rows()) == 4
    assert len(kg.plan(path).rows()) == 4


def test_an_observer_is_called_after_each_save(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []

    def note(event: Any) -> None:
        told.append((event.path.name, len(event.manifest.recorded)))

    with kg.patched(observers=[note]):
        _model().save(tmp_path / "a.keras")
    model = _model()
    model.compile("sgd", "mse", run_eagerly=True)
    saver = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)
    model.fit(
        np.ones((2, 3)), np.ones((2, 2)), verbose=0,
        callbacks=[saver, kg.WeightManifestCallback(observers=[note])],
    )  # fmt: skip
    assert [name for name, _ in told] == ["a.keras", "1.weights.h5"]


def test_a_code_explains_itself_in_python() -> None:
    assert kg.explain("kg302").code == "KG302"
    assert "KG302" in str(kg.explain("KG302"))
    with pytest.raises(ArgumentError, match="did you mean KG30"):
        kg.explain("KG30")
