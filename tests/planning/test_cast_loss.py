"""What a cast loses is measured on the values at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kerasguard.planning.cast_loss import Loss, cast_loss


@pytest.mark.parametrize(
    ("values", "dtype", "to"),
    [
        ([0.5, -2.0, np.inf, np.nan], "float64", "float32"),
        ([1, 2, 3], "int64", "int8"),
        ([0, 1], "int32", "bool"),
        ([2**53, -(2**53)], "int64", "float64"),
        ([1.0, 256.0], "float32", "bfloat16"),
    ],
)
def test_values_that_survive_lose_nothing(values: list[Any], dtype: str, to: str) -> None:
    assert cast_loss(np.array(values, dtype), to).none


def test_rounding_is_the_largest_absolute_error() -> None:
    loss = cast_loss(np.array([0.1, 4.0]), "float32")
    assert loss.error == abs(0.1 - float(np.float32(0.1)))
    assert (loss.largest, loss.overflows, loss.flushed) == (4.0, 0, 0)


@pytest.mark.parametrize(
    ("values", "dtype", "to", "overflows"),
    [
        ([1e300, 1.0], "float64", "float32", 1),
        ([70000.0, -70000.0], "float32", "float16", 2),
        ([300, 1], "int64", "uint8", 1),
        ([-1, 1], "int32", "uint32", 1),
        ([np.nan, 1.0], "float32", "int32", 1),
    ],
)
def test_what_has_no_place_overflows(
    values: list[Any], dtype: str, to: str, overflows: int
) -> None:
    loss = cast_loss(np.array(values, dtype), to)
    assert loss.overflows == overflows
    assert not loss.none


def test_small_numbers_are_flushed() -> None:
    assert cast_loss(np.array([1e-60, 1.0]), "float32").flushed == 1


def test_64_bit_integers_beyond_float64_are_noticed() -> None:
    assert cast_loss(np.array([2**53 + 1]), "float64") == Loss(1.0, float(2**53), 0, 0)


def test_an_empty_tensor_loses_nothing() -> None:
    assert cast_loss(np.zeros((0, 4)), "float16").none
