"""Models of the caller's that nothing has built yet: the file tells their input's shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras import layers  # noqa: E402
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402

pytestmark = MARKS


@keras.saving.register_keras_serializable("unbuilt")
class Hourglass(keras.Model):  # type: ignore[misc, name-defined]
    """The first kernel in its file, that of `a`, is not of the layer that is called first."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.a, self.b = layers.Dense(5), layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.a(self.b(x))


@pytest.mark.parametrize("recorded", [True, False])
def test_the_config_in_the_file_tells_the_shape_that_a_model_is_built_with(
    recorded: bool, tmp_path: Path
) -> None:
    model = Hourglass()
    model(np.zeros((2, 7), "float32"))
    path = tmp_path / "m.keras"
    if recorded:
        with kg.patched():
            model.save(path)
    else:
        model.save(path)
    again = kg.load(path, Hourglass())
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_wrong_guess_at_the_shape_is_told(tmp_path: Path) -> None:
    model = Hourglass()
    model(np.zeros((2, 7), "float32"))
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(kg.UnrepairableError, match="built by a guess") as caught:
        kg.load(tmp_path / "m.weights.h5", Hourglass())
    assert "not changed" not in str(caught.value)
