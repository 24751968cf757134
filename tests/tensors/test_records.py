"""What is known of one tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kerasguard.tensors import Extent, TensorRecord, TensorSpec
from kerasguard.tensors.elements import numpy_dtype

RECORD = TensorRecord(
    "layers/dense/vars/0", TensorSpec((2, 3), "float32"), name="head/kernel", layer="layers/dense"
)


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


def test_a_spec_is_shown_as_its_dtype_and_shape() -> None:
    assert str(TensorSpec((2, 3), "float32")) == "float32[2, 3]"


def test_a_key_is_known_without_its_layer_and_as_the_file_has_it() -> None:
    assert RECORD.name_in_layer == "vars/0"
    assert RECORD.own_key == RECORD.key
    assert replace(RECORD, stored_as="tree/kernel").own_key == "tree/kernel"


def test_a_record_that_gets_the_bytes_of_another_keeps_who_it_is() -> None:
    spec, extent = TensorSpec((3, 2), "float16"), Extent("w.h5", 64, 12)
    other = TensorRecord("other", spec, digest="xxh3:1", nonfinite=1, extent=extent)
    held = RECORD.holding(other, "other")
    assert (held.key, held.name, held.layer) == (RECORD.key, RECORD.name, RECORD.layer)
    assert (held.spec, held.digest, held.nonfinite, held.extent) == (spec, "xxh3:1", 1, extent)
    assert held.own_key == "other"
