"""Names of layers and classes."""

from __future__ import annotations

import pytest

from kerasguard.tensors import LayerRecord, auto_named, snake_case


@pytest.mark.parametrize(
    ("class_name", "kind"),
    [
        ("Dense", "dense"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("ReLU", "re_lu"),
        ("LSTMCell", "lstm_cell"),
        ("Custom>Block", "custom_block"),
    ],
)
def test_a_class_gives_its_layers_a_name_as_in_keras(class_name: str, kind: str) -> None:
    assert snake_case(class_name) == kind


@pytest.mark.parametrize(
    ("name", "made_up"),
    [("dense", True), ("dense_12", True), ("dense_", False), ("dense_a", False), ("head", False)],
)
def test_a_name_that_keras_made_up_is_known_by_its_number(name: str, made_up: bool) -> None:
    assert auto_named(name, "dense") is made_up
    assert LayerRecord("layers/dense", name, "Dense").auto_named is made_up


def test_of_an_unknown_class_every_name_is_somebodys() -> None:
    assert not LayerRecord("layers/dense", "dense_1").auto_named


@pytest.mark.parametrize(
    ("class_name", "kind"),
    [("Dense", "dense"), ("Conv2D", "conv2d"), ("BatchNormalization", "batch_normalization")],
)
def test_classes_are_numbered_in_snake_case(class_name: str, kind: str) -> None:
    assert snake_case(class_name) == kind
    assert auto_named(kind, kind)
    assert auto_named(f"{kind}_12", kind)
    assert not auto_named(f"{kind}_head", kind)
    assert LayerRecord("k", kind, class_name).auto_named
