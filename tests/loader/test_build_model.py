"""Layer configs that a checkpoint has beside its weights, against the model that takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard

pytestmark = pytest.mark.keras

GOLDEN = Path(__file__).parent.parent / "golden" / "tf_checkpoint"


def _lstm(**options: Any) -> Any:
    import keras

    x = inputs = keras.Input((7,), dtype="int32")
    x = keras.layers.Embedding(11, 5)(x)
    x = keras.layers.LSTM(6, return_sequences=True, **options)(x)
    x = keras.layers.LSTM(4, **options)(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def test_a_layer_whose_default_has_changed_is_told_where_the_checkpoint_has_configs() -> None:
    report = kerasguard.restore(GOLDEN / "tf1.12.3-lstm", _lstm()).report
    told = [f.message.partition(":")[0] for f in report.findings if f.code == "KG107"]
    assert told == ["lstm", "lstm_1"]


@pytest.mark.parametrize("name", ["tf1.12.3-lstm", "tf1.12.3-nested"])
def test_a_checkpoint_with_configs_is_a_whole_model(name: str) -> None:
    model = kerasguard.load(GOLDEN / name)
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        found = np.asarray(model(arrays["x0"]))
        np.testing.assert_allclose(found, arrays["y0"], atol=1e-6)


def test_an_axis_counted_from_the_other_end_is_no_difference() -> None:
    import keras

    a = keras.Input((5,), name="a")
    hidden = keras.layers.BatchNormalization(name="norm")(a)
    encoder = keras.Model(a, keras.layers.Dense(4, activation="tanh", name="proj")(hidden))
    head = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="proj"), keras.layers.Dense(2, name="out")]
    )
    inputs = keras.Input((5,))
    model = keras.Model(inputs, head(encoder(inputs)))
    report = kerasguard.restore(GOLDEN / "tf1.12.3-nested", model).report
    assert [f for f in report.findings if f.code == "KG107"] == []


def test_a_class_without_its_name_in_its_config_may_be_made_in_any_order(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable("kerasguard_tests")
    class Block(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, units: int) -> None:  # which takes no name, so Keras writes none
            super().__init__()
            self.inner = keras.layers.Dense(units)

        def build(self, shape: Any) -> None:
            self.inner.build(shape)

        def call(self, x: Any) -> Any:
            return self.inner(x)

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Block(3)(Block(3)(inputs)))  # the outer one is made first
    path = tmp_path / "m.keras"
    model.save(path)
    for _ in range(2):
        restored = kerasguard.restore(path)
        assert restored.report.findings == ()
        for ours, theirs in zip(restored.model.weights, model.weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        kerasguard.record(path, model)


def test_a_sequential_model_may_hold_layers_without_a_name_in_their_config(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable("kerasguard_tests")
    class Scale(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(shape=shape[1:])

        def call(self, x: Any) -> Any:
            return self.factor * x * self.by

        def get_config(self) -> dict[str, Any]:
            return {"by": self.by}

    def made() -> Any:
        some = [keras.layers.Dense(3), Scale(2), keras.layers.Dense(3), Scale(3)]
        return keras.Sequential([keras.Input((3,)), *some, keras.layers.Dense(3)])

    model, path = made(), tmp_path / "m.keras"
    model.save(path)
    for found in (kerasguard.load(path), kerasguard.load(path, made())):
        for ours, theirs in zip(found.weights, model.weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("kind", ["layer", "FeatureSpace"])
def test_what_was_saved_alone_and_is_no_model_is_loaded(kind: str, tmp_path: Path) -> None:
    import keras

    path = tmp_path / "m.keras"
    saved: Any = keras.layers.Normalization(mean=[1.0], variance=[4.0])
    given: Any = np.array([[3.0]])
    if kind == "FeatureSpace":
        saved, given = keras.utils.FeatureSpace({"a": "float"}, output_mode="concat"), {"a": [3.0]}
        dataset = pytest.importorskip("tensorflow").data.Dataset
        saved.adapt(dataset.from_tensor_slices(given))
    expected = np.asarray(saved(given))
    keras.saving.save_model(saved, path)
    np.testing.assert_array_equal(kerasguard.load(path)(given), expected)
