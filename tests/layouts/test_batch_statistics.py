"""Moving statistics of normalisations that use the batch's own are left out."""

from __future__ import annotations

import pytest

from kerasguard.layouts import without_statistics
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec

VARIABLES = ("gamma", "beta", "moving_mean", "moving_variance")


def table(class_name: str, *variables: str, named: bool = True) -> Table:
    tensors = [
        TensorRecord(f"l/{v}", TensorSpec((4,), "float32"), v, v if named else "", "l")
        for v in variables
    ]
    layers = {"l": LayerRecord("l", "norm", class_name)}
    return Table({record.key: record for record in tensors}, layers)


@pytest.mark.parametrize("named", [True, False])
def test_a_layer_that_the_model_has_by_the_batch_keeps_scale_and_offset_alone(named: bool) -> None:
    stored = table("BatchNormalization", *VARIABLES, named=named)
    found = without_statistics(stored, table("GroupNormalization", "gamma", "beta"))
    assert list(found.tensors) == ["l/gamma", "l/beta"]
    assert found.layers["l"].class_name == "GroupNormalization"


def test_a_layer_that_the_model_has_as_it_was_keeps_all() -> None:
    stored = table("BatchNormalization", *VARIABLES)
    assert without_statistics(stored, stored) == stored
