"""A sublayer that was never built has nothing in the file: said, recorded, and found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import kerasguard as kg  # noqa: E402
from kerasguard.planning.findings import Severity  # noqa: E402

L = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")


class Partly(keras.Model):  # type: ignore[misc,name-defined]
    """A part of it is only called where somebody asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.extra = L.Dense(8), keras.Sequential([L.Dense(8), L.ReLU()])
        self.idle = [L.Dropout(0.5), L.Concatenate(), L.MaxPooling1D()]

    def call(self, x: Any, more: bool = False) -> Any:
        x = self.first(x)
        return self.extra(x) if more else x


def made(*, more: bool) -> Any:
    model = Partly()
    model(np.zeros((1, 4), "float32"), more=more)
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a.weights.h5"
    with kg.patched(), pytest.warns(UserWarning, match="dense_?[0-9]*: never built, so the"):
        made(more=False).save_weights(path)
    return path


def test_it_is_said_and_recorded_and_nothing_is_said_of_layers_without_weights(
    saved: Path,
) -> None:
    layers = kg.inspect(saved).table.layers.values()
    assert [r.class_name for r in layers if r.use and not r.use.built] == ["Dense"]


def test_a_model_that_built_it_meanwhile_keeps_its_values_and_is_told(saved: Path) -> None:
    model = made(more=True)
    before = model.extra.get_weights()
    [finding] = kg.restore(saved, model=model).report.findings
    assert (finding.code, finding.severity) == ("KG112", Severity.WARNING)
    assert "never built when the model was saved" in finding.message
    assert all(np.array_equal(a, b) for a, b in zip(before, model.extra.get_weights(), strict=True))


def test_a_model_that_has_not_built_it_either_is_told_nothing(saved: Path) -> None:
    assert kg.restore(saved, model=made(more=False)).report.findings == ()


def test_weights_without_a_place_are_not_blamed_on_layers_that_never_have_any(
    tmp_path: Path,
) -> None:
    with kg.patched():
        made(more=True).save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(kg.UnrepairableError) as caught:
        kg.restore(tmp_path / "a.weights.h5", model=made(more=False))
    assert "concatenate" not in str(caught.value)
