"""Weights of channels-first writers in models of channels-last layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_zoo import MARKS

import kerasguard as kg

h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
layers = keras.layers
pytestmark = MARKS

RNG = np.random.default_rng(3)
KERNEL = RNG.normal(size=(4, 2, 3, 3)).astype("float32")  # outputs, inputs, height, width
IMAGES = RNG.normal(size=(2, 5, 6, 2)).astype("float32")  # channels last


def weights_file(path: Path, dense: dict[str, np.ndarray]) -> Path:
    """As Keras 1 wrote it with TensorFlow and `dim_ordering="th"`."""
    groups: dict[str, dict[str, np.ndarray]] = {
        "convolution2d_1": {"W": KERNEL, "b": np.zeros(4, "float32")}
    }
    for name, kernel in dense.items():
        groups[name] = {"W": kernel, "b": np.zeros(kernel.shape[1], "float32")}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in groups]
        for name, arrays in groups.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_{k}:0".encode() for k in arrays]
            for k, value in arrays.items():
                group[f"{name}_{k}:0"] = value
    return path


def flattened() -> np.ndarray:
    """What Keras 1 flattened of the images: channels, height, width."""
    kernel = np.transpose(KERNEL, (2, 3, 1, 0))
    convolved = keras.ops.convert_to_numpy(keras.ops.conv(IMAGES, kernel, 1, "valid"))
    return np.transpose(convolved, (0, 3, 1, 2)).reshape(2, -1)


def kernel(rows: int, units: int) -> np.ndarray:
    return RNG.normal(size=(rows, units)).astype("float32")


def loaded(model: Any, path: Path) -> np.ndarray:
    kg.load(path, model=model)
    return np.asarray(model(IMAGES))


def test_rows_behind_a_flatten_follow_the_model(tmp_path: Path) -> None:
    head = kernel(48, 5)
    path = weights_file(tmp_path / "w.h5", {"dense_1": head})
    image = keras.Input((5, 6, 2))
    x = layers.Conv2D(4, 3)(image)
    x = layers.ActivityRegularization()(layers.Flatten()(layers.LeakyReLU(1.0)(x)))
    model = keras.Model(image, layers.Dense(5)(x))
    restored = kg.restore(path, model=model)
    np.testing.assert_allclose(model(IMAGES), flattened() @ head, rtol=1e-4, atol=1e-4)
    assert [f.code for f in restored.report.findings] == ["KG208"]


def test_a_permute_in_front_of_the_flatten_keeps_the_rows(tmp_path: Path) -> None:
    head = kernel(48, 5)
    path = weights_file(tmp_path / "w.h5", {"dense_1": head})
    model = keras.Sequential(
        [
            keras.Input((5, 6, 2)),
            layers.Conv2D(4, 3),
            layers.Permute((3, 1, 2)),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    np.testing.assert_allclose(loaded(model, path), flattened() @ head, rtol=1e-4, atol=1e-4)


def test_flattened_images_side_by_side_are_permuted_block_by_block(tmp_path: Path) -> None:
    head = kernel(96, 5)
    path = weights_file(tmp_path / "w.h5", {"dense_1": head})
    image = keras.Input((5, 6, 2))
    x = layers.Conv2D(4, 3)(image)
    x = layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(layers.ReLU()(x))])
    model = keras.Model(image, layers.Dense(5)(x))
    flat = flattened()
    wanted = np.concatenate([flat, np.maximum(flat, 0)], 1) @ head
    np.testing.assert_allclose(loaded(model, path), wanted, rtol=1e-4, atol=1e-4)


def test_a_layer_whose_order_the_graph_does_not_tell_is_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "w.h5", {"dense_1": kernel(12, 5)})
    image = keras.Input((5, 6, 2))
    x = keras.ops.sum(layers.Conv2D(4, 3)(image), axis=2)
    model = keras.Model(image, layers.Dense(5)(layers.Flatten()(x)))
    with pytest.raises(kg.UnrepairableError, match=r"KG208 dense\S*/kernel"):
        kg.load(path, model=model)


def test_a_layer_whose_outputs_become_an_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    weights_file(path, {"dense_1": kernel(3, 24)})
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = [b"dense_1", b"convolution2d_1"]
    code = keras.Input((3,))
    x = layers.Reshape((3, 4, 2))(layers.Dense(24)(code))
    model = keras.Model(code, layers.Conv2D(4, 3)(x))
    with pytest.raises(kg.UnrepairableError, match=r"KG208 dense\S*/kernel"):
        kg.load(path, model=model)


def test_rows_of_a_file_with_an_architecture_follow_its_flatten(tmp_path: Path) -> None:
    for moves, contradicts in ((True, False), (False, False), (True, True), (False, True)):
        first = keras.Sequential(
            [
                keras.Input((2, 5, 6)),
                layers.Conv2D(4, 3, data_format="channels_first"),
                layers.Flatten(data_format="channels_first" if moves else "channels_last"),
                layers.Dense(5),
            ]
        )
        path = tmp_path / f"{moves}.h5"
        first.save(path)
        if contradicts:  # then no model can be made of the architecture
            with h5py.File(path, "a") as file:
                file.attrs["keras_version"] = "2.4.0"
        x = layers.Input((5, 6, 2))
        model = keras.Model(x, layers.Dense(5)(layers.Flatten()(layers.Conv2D(4, 3)(x))))
        kg.load(path, model=model)
        convolved = keras.ops.conv(IMAGES, first.layers[0].kernel, 1, "valid")
        if not moves:
            convolved = keras.ops.transpose(convolved, (0, 3, 1, 2))
        wanted = keras.ops.reshape(convolved, (2, -1)) @ first.layers[-1].kernel
        np.testing.assert_allclose(model(IMAGES), wanted, rtol=1e-4, atol=1e-4)


def test_a_row_of_places_each_with_its_channels_has_one_order(tmp_path: Path) -> None:
    """As recurrent models of images do: nothing was flattened over the channels."""
    head = kernel(4, 5)
    path = weights_file(tmp_path / "w.h5", {"dense_1": head})
    image = keras.Input((5, 6, 2))
    convolved = layers.Conv2D(4, 3)(image)
    model = keras.Model(image, layers.Dense(5)(layers.Reshape((-1, 4))(convolved)))
    restored = kg.restore(path, model=model)
    np.testing.assert_array_equal(np.asarray(model.layers[-1].kernel), head)
    assert not [f for f in restored.report.findings if f.code == "KG208"]
