"""Specs, records and tables."""

from __future__ import annotations

import numpy as np
import pytest

from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec, auto_named, snake_case
from kerasguard.tensors.elements import numpy_dtype


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "bfloat16", "float8_e4m3fn", "int64"])
def test_a_spec_knows_its_size_in_bytes(dtype: str) -> None:
    spec = TensorSpec((2, 3), dtype)
    assert spec.nbytes == np.zeros((2, 3), numpy_dtype(dtype)).nbytes
    assert spec.size == 6


def test_a_scalar_has_one_element_and_an_empty_tensor_none() -> None:
    assert TensorSpec((), "float32").size == 1
    assert TensorSpec((3, 0), "float32").nbytes == 0


def test_what_is_no_dtype_of_a_tensor_is_named() -> None:
    with pytest.raises(ValueError, match="'string' is not a dtype"):
        _ = TensorSpec((1,), "string").itemsize


def test_a_label_is_the_name_else_the_key() -> None:
    spec = TensorSpec((1,), "float32")
    assert TensorRecord("layers/dense/vars/0", spec, name="head/kernel").label == "head/kernel"
    assert TensorRecord("layers/dense/vars/0", spec).label == "layers/dense/vars/0"


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


def test_members_are_grouped_by_layer_in_table_order() -> None:
    spec = TensorSpec((1,), "float32")
    records = [TensorRecord(f"{layer}/{i}", spec, layer=layer) for i in (1, 0) for layer in "ab"]
    groups = Table.of(records).members()
    assert {layer: [r.key for r in group] for layer, group in groups.items()} == {
        "a": ["a/1", "a/0"],
        "b": ["b/1", "b/0"],
    }
