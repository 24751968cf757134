"""Channels first, and locally connected layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kerasguard.blueprint.axis_order import Layout
from kerasguard.migrations import migrate
from kerasguard.planning.findings import Severity


@pytest.mark.parametrize("layout", [Layout(3, 1), Layout(4, 1), Layout(5, 1), Layout(5, 2)])
def test_moving_channels_to_the_end_and_back_changes_nothing(layout: Layout) -> None:
    x = np.arange(2**layout.rank).reshape([2] * layout.rank)
    last = x.transpose([0, *layout.to_last()])
    assert (last.transpose([0, *layout.to_first()]) == x).all()
    for axis in range(layout.rank):
        assert [0, *layout.to_last()][layout.moved(axis)] == axis


def test_a_convolution_with_channels_first_stands_between_two_permutes(migrated: Any) -> None:
    config = {"filters": 2, "kernel_size": [2, 2], "data_format": "channels_first"}
    found = migrated({"class_name": "Conv2D", "config": config}, (3, 5, 6))
    assert found.config["data_format"] == "channels_last"
    permutes = [x["config"]["dims"] for x in found.layers if x["class_name"] == "Permute"]
    assert permutes == [[2, 3, 1], [3, 1, 2]]
    assert found.new["config"]["output_layers"][0] == "layer_channels_first"


@pytest.mark.keras
def test_a_convolution_with_channels_first_computes_what_it_did(
    migrated: Any, build: Callable[..., Any]
) -> None:
    config = {"filters": 2, "kernel_size": [1, 1], "data_format": "channels_first"}
    model = build(migrated({"class_name": "Conv2D", "config": config}, (3, 5, 6)).new)
    kernel, bias = np.arange(6.0).reshape(1, 1, 3, 2), np.ones(2)
    model.set_weights([kernel, bias])
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 6))
    expected = np.einsum("bchw,cf->bfhw", x, kernel[0, 0]) + 1
    assert np.allclose(model.predict(x, verbose=0), expected, atol=1e-5)


@pytest.mark.keras
def test_between_convolutions_nothing_is_permuted(build: Callable[..., Any]) -> None:
    conv = {"filters": 2, "kernel_size": [2, 2], "data_format": "channels_first"}
    layers = [
        {
            "class_name": "Conv2D",
            "config": {"name": "a", "batch_input_shape": [None, 3, 9, 9], **conv},
        },
        {"class_name": "BatchNormalization", "config": {"name": "n", "axis": [1]}},
        {"class_name": "Activation", "config": {"name": "r", "activation": "relu"}},
        {"class_name": "Conv2D", "config": {"name": "b", **conv}},
        {"class_name": "Flatten", "config": {"name": "f", "data_format": "channels_first"}},
    ]
    new, _ = migrate({"class_name": "Sequential", "config": layers}, {"keras": "2.1.6"})
    kinds = [layer["class_name"] for layer in new["config"]["layers"]]
    assert kinds.count("Permute") == 1
    assert new["config"]["layers"][3]["config"]["axis"] == 3
    assert build(new).output_shape == (None, 2 * 7 * 7)


@pytest.mark.parametrize("wrapped", [False, True])
def test_channels_first_that_cannot_be_turned_is_refused(wrapped: bool) -> None:
    """Where the input's shape is not told, and inside a wrapper that joins along the last axis."""
    options = {"filters": 2, "kernel_size": [2, 2], "data_format": "channels_first"}
    layer = {"class_name": "Conv2D", "config": {"name": "c", **options}}
    if wrapped:
        inner = {"class_name": "ConvLSTM2D", "config": {"name": "c", **options}}
        shape = {"batch_input_shape": [None, 4, 3, 9, 9]}
        layer = {"class_name": "Bidirectional", "config": {"name": "b", "layer": inner, **shape}}
    old = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    _, findings = migrate(old, {"keras": "2.11.0"})
    errors = [f for f in findings if f.severity is Severity.ERROR]
    assert [(f.code, f.key) for f in errors] == [("KG432", "c")]
    assert "kerasguard.load(path, model=model)" in errors[0].message


def test_paddings_with_channels_first_are_computed_everywhere_and_stay() -> None:
    options = {"name": "z", "padding": 1, "data_format": "channels_first"}
    layer = {"class_name": "ZeroPadding2D", "config": options}
    old = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    new, findings = migrate(old, {"keras": "2.11.0"})
    assert not [f for f in findings if f.severity is Severity.ERROR]
    assert new["config"]["layers"][0]["config"]["data_format"] == "channels_first"
