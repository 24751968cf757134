"""Arrays: their dtypes by name, their digests, their NaN."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from kerasguard.planning.operations import spec_of
from kerasguard.tensors import TensorSpec
from kerasguard.tensors.elements import count_nonfinite, digest, dtype_name, numpy_dtype, survey


@pytest.mark.parametrize(
    "name", ["bool", "int8", "uint32", "int64", "float16", "float64", "bfloat16", "float8_e5m2"]
)
def test_names_of_dtypes_lead_there_and_back(name: str) -> None:
    assert dtype_name(numpy_dtype(name)) == name


def test_a_digest_is_of_the_bytes_and_not_of_their_order_in_memory() -> None:
    array = np.arange(6, dtype="float32").reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.astype(">f4"))
    assert digest(array) == digest(array.reshape(-1))
    assert digest(array) != digest(array.T)
    assert digest(array).startswith("xxh3:")
    assert len(digest(array)) == len("xxh3:") + 32


def test_negative_zero_is_another_value() -> None:
    assert digest(np.array([0.0])) != digest(np.array([-0.0]))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_nan_and_infinity_are_counted(dtype: object) -> None:
    array = np.array([1.0, np.nan, np.inf, -np.inf]).astype(dtype)  # type: ignore[call-overload]
    assert count_nonfinite(array) == 3


def test_integers_have_none() -> None:
    assert count_nonfinite(np.array([1, 2**31])) == 0
    assert count_nonfinite(np.array([True])) == 0


def test_a_survey_reads_every_tensor_once() -> None:
    class Source:
        arrays = {"a": np.ones(2, "float32"), "b": np.array([np.nan])}  # noqa: RUF012
        read_so_far: list[str] = []  # noqa: RUF012

        def specs(self) -> dict[str, TensorSpec]:
            return {key: spec_of(array) for key, array in self.arrays.items()}

        def read(self, key: str) -> np.ndarray:
            self.read_so_far.append(key)
            return self.arrays[key]

    source = Source()
    records = list(survey(source))
    assert source.read_so_far == ["a", "b"]
    assert [(r.key, r.nonfinite, r.digest) for r in records] == [
        (key, bad, digest(source.arrays[key])) for key, bad in (("a", 0), ("b", 1))
    ]
