"""What Keras 1 and Theano computed otherwise, without an error when it is read today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kerasguard.migrations import migrate

Json = dict[str, Any]
THEANO = {"keras": "2.0.9", "backend": "theano", "config": "legacy"}
KERAS1 = {"keras": "1.2.2", "backend": "tensorflow", "config": "legacy"}


def test_layers_of_keras_1_that_do_not_tell_their_axes_have_those_of_the_others() -> None:
    padding: Json = {"class_name": "ZeroPadding2D", "config": {"name": "pad", "padding": [1, 1]}}
    padding["config"] |= {"batch_input_shape": [None, 3, 6, 6]}
    convolution: Json = {"name": "conv", "nb_filter": 2, "nb_row": 3, "nb_col": 3}
    convolution |= {"border_mode": "valid", "dim_ordering": "th"}
    layers = [padding, {"class_name": "Convolution2D", "config": convolution}]
    new, findings = migrate({"class_name": "Sequential", "config": layers}, KERAS1)
    assert not [f for f in findings if f.severity.name == "ERROR"]
    formats = {x["config"].get("data_format") for x in new["config"]["layers"]} - {None}
    assert formats == {"channels_last"}
    assert "Permute" in {x["class_name"] for x in new["config"]["layers"]}


def test_layers_of_keras_1_that_do_not_tell_their_axes_are_refused_where_others_differ() -> None:
    layers: list[Json] = [
        {"class_name": "Cropping2D", "config": {"name": "crop", "cropping": [[1, 1], [0, 0]]}},
        {"class_name": "MaxPooling2D", "config": {"name": "a", "dim_ordering": "th"}},
        {"class_name": "MaxPooling2D", "config": {"name": "b", "dim_ordering": "tf"}},
    ]
    _, findings = migrate({"class_name": "Sequential", "config": layers}, KERAS1)
    assert any("crop" in str(f) and f.severity.name == "ERROR" for f in findings)


@pytest.mark.keras
@pytest.mark.parametrize("told", ["mode", "training"])
def test_a_normalisation_by_the_batch_stays_one(
    migrated: Any, build: Callable[..., Any], told: str
) -> None:
    config: Json = {"epsilon": 1e-3, "axis": -1, **({"mode": 2} if told == "mode" else {})}
    calls = [[["input", 0, 0, {"training": True}]]] if told == "training" else None
    found = migrated({"class_name": "BatchNormalization", "config": config}, (3, 2), calls=calls)
    model = build(found.new)
    gamma, beta = np.array([2.0, -1.0]), np.array([0.5, 3.0])
    model.set_weights([gamma, beta])
    x = np.random.default_rng(0).normal(2.0, 3.0, (5, 3, 2))
    expected = (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-3) * gamma + beta
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_a_normalisation_by_the_batch_over_another_axis_is_refused(migrated: Any) -> None:
    found = migrated({"class_name": "BatchNormalization", "config": {"mode": 2, "axis": 1}}, (3, 2))
    assert "batch's own statistics" in str(found.errors[0])


def test_a_dropout_that_was_called_as_in_training_is_told(migrated: Any) -> None:
    calls = [[["input", 0, 0, {"training": True}]]]
    found = migrated({"class_name": "Dropout", "config": {"rate": 0.5}}, calls=calls)
    assert not found.errors
    assert any("training=True" in str(f) for f in found.findings)


@pytest.mark.keras
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 1), (4, 1)])
def test_windows_of_theano_are_centred_on_their_places(
    migrated: Any, build: Callable[..., Any], size: int, stride: int
) -> None:
    config = {"filters": 1, "kernel_size": [size], "strides": [stride], "padding": "same"}
    found = migrated({"class_name": "Conv1D", "config": config}, (6, 1), writer=THEANO)
    model = build(found.new)
    kernel = np.arange(1.0, size + 1)
    model.set_weights([kernel.reshape(size, 1, 1), np.zeros(1)])
    x = np.arange(1.0, 7.0)
    padded = np.pad(x, (size // 2, size))
    expected = [padded[n : n + size] @ kernel for n in range(0, 6, stride)]
    assert np.allclose(model.predict(x.reshape(1, 6, 1), verbose=0).ravel(), expected)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("MaxPooling1D", {"pool_size": [2], "strides": [2], "padding": "same"}),
        ("Conv1DTranspose", {"filters": 1, "kernel_size": [2], "padding": "same"}),
    ],
)
def test_same_padding_of_theano_that_keras_3_lacks_is_refused(
    migrated: Any, kind: str, config: Json
) -> None:
    assert not migrated({"class_name": kind, "config": config}, (6, 1)).errors
    found = migrated({"class_name": kind, "config": config}, (6, 1), writer=THEANO)
    assert "Theano" in str(found.errors[0])


def test_same_padding_of_theano_that_is_ours_stays(migrated: Any) -> None:
    config = {"filters": 1, "kernel_size": [3], "padding": "same"}
    found = migrated({"class_name": "Conv1D", "config": config}, (6, 1), writer=THEANO)
    assert found.config["padding"] == "same"


@pytest.mark.keras
@pytest.mark.parametrize("writer", [KERAS1, THEANO])
def test_full_padding_is_every_place_at_which_the_kernel_meets_the_image(
    migrated: Any, build: Callable[..., Any], writer: dict[str, str]
) -> None:
    config: Json = {"filters": 1, "kernel_size": [2, 3], "padding": "full", "use_bias": False}
    if writer is KERAS1:
        config = {"nb_filter": 1, "nb_row": 2, "nb_col": 3, "border_mode": "full", "bias": False}
    found = migrated({"class_name": "Conv2D", "config": config}, (4, 5, 1), writer=writer)
    model = build(found.new)
    model.set_weights([np.ones((2, 3, 1, 1))])
    x = np.random.default_rng(0).random((1, 4, 5, 1)).astype("float32")
    padded = np.pad(x, ((0, 0), (1, 1), (2, 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 3), (1, 2))
    np.testing.assert_allclose(model(x), windows.sum((-1, -2)), rtol=1e-5)
    assert model.output_shape == (None, 5, 7, 1)


@pytest.mark.keras
@pytest.mark.parametrize(("rank", "size"), [(1, 9), (2, 9), (2, 8), (3, 3)])
def test_a_transposed_convolution_of_theano_is_cut_behind_half_a_kernel(
    migrated: Any, build: Callable[..., Any], rank: int, size: int
) -> None:
    config: Json = {"filters": 1, "kernel_size": [3] * rank, "strides": [2] * rank}
    config |= {"padding": "same", "use_bias": False}
    layer = {"class_name": f"Conv{rank}DTranspose", "config": config}
    found = migrated(layer, (*[size] * rank, 1), writer=THEANO)
    model = build(found.new)
    model.set_weights([np.ones((*[3] * rank, 1, 1))])
    x = np.random.default_rng(0).random((1, *[size] * rank, 1)).astype("float32")
    whole = np.asarray(model.get_layer("layer")(x))
    inner = (slice(None), *[slice(1, None)] * rank)
    cut = whole[inner]
    np.testing.assert_allclose(model(x), cut, rtol=1e-5)
    assert model.output_shape == (None, *[2 * size] * rank, 1)


def test_a_transposed_convolution_of_theano_is_refused_where_cutting_does_not_help(
    migrated: Any,
) -> None:
    config: Json = {"filters": 1, "kernel_size": [2, 2], "strides": [3, 3], "padding": "same"}
    found = migrated({"class_name": "Conv2DTranspose", "config": config}, (9, 9, 1), writer=THEANO)
    assert [e.code for e in found.errors] == ["KG441"]
