"""What is asked of Keras and of a model as a whole."""

from __future__ import annotations

import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS  # noqa: E402  needs keras

from kerasguard.models.environment import layers_with_several_masks  # noqa: E402

pytestmark = MARKS
layers = keras.layers


def test_layers_that_merge_different_masks_are_found() -> None:
    ids = keras.Input((4,), dtype="int32")
    masked = layers.Embedding(5, 3, mask_zero=True)(ids)
    plain = layers.Embedding(5, 3)(ids)
    alike = layers.Add(name="alike")([masked, layers.Dense(3)(masked)])
    twin = layers.Add(name="twin")([masked, layers.Embedding(5, 3, mask_zero=True)(ids)])
    mixed = layers.Add(name="mixed")([alike, plain])
    joined = layers.Concatenate(name="joined")([plain, masked])
    model = keras.Model(ids, [mixed, twin, layers.Add(name="none")([plain, plain]), joined])
    assert layers_with_several_masks(model) == ("mixed", "joined")
