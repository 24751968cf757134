"""Weights of rare tokens that tf.keras lists with a layer, in a model of Keras 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras", reason="tf_keras is not installed")
if keras.backend.backend() != "tensorflow":
    pytest.skip("tf_keras needs TensorFlow", allow_module_level=True)
import kerasguard as kg  # noqa: E402

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]
KINDS = {
    "StringLookup": (["a", "b", "c"], [["a"], ["c"], ["z"]]),
    "IntegerLookup": ([3, 5, 9], [[3], [9], [7]]),
    "TextVectorization": (["a", "b", "c"], [["a b"], ["c"], ["z"]]),
}


def model_of(library: Any, kind: str) -> Any:
    vocabulary, _ = KINDS[kind]
    options = {"vocabulary": vocabulary, "idf_weights": [0.5, 0.25, 0.75], "output_mode": "tf_idf"}
    dtype = "int64" if kind == "IntegerLookup" else "string"
    inputs = library.Input((1,), dtype=dtype)
    found = getattr(library.layers, kind)(name="weighed", **options)(inputs)
    return library.Model(inputs, library.layers.Dense(2)(found))


def answers(model: Any, kind: str) -> np.ndarray:
    import tensorflow as tf

    return np.asarray(model(tf.constant(KINDS[kind][1])))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["whole", "fresh"])
def test_an_h5_of_tf_keras_with_weights_of_rare_tokens_loads(
    tmp_path: Path, kind: str, way: str
) -> None:
    written = model_of(tf_keras, kind)
    written.save(tmp_path / "m.h5")
    into = None if way == "whole" else model_of(keras, kind)
    restored = kg.restore(tmp_path / "m.h5", into)
    assert np.allclose(answers(restored.model, kind), answers(written, kind))
    assert "KG102" not in {finding.code for finding in restored.report.findings}
