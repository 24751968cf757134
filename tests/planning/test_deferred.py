"""Tensors that are made when somebody asks for them."""

from __future__ import annotations

import numpy as np

from kerasguard.planning.deferred import Deferred, specs_of
from kerasguard.planning.operations import Cast, Step, Transpose
from kerasguard.tensors import TensorRecord, TensorSpec
from kerasguard.tensors.elements import Array

STORED = {"s": TensorRecord("s", TensorSpec((2, 3), "float32"))}
VALUE = np.arange(6, dtype="float32").reshape(2, 3)


def deferred(asked: list[str]) -> Deferred:
    def read(key: str) -> Array:
        asked.append(key)
        return VALUE

    steps = [Step("a", ("s",), (Transpose((1, 0)),)), Step("b", ("s",), (Cast("float16"),))]
    return Deferred(steps, STORED, read)


def test_each_is_read_when_it_is_asked_for_and_every_time() -> None:
    asked: list[str] = []
    values = deferred(asked)
    assert list(values) == ["a", "b"]
    assert len(values) == 2
    assert asked == []
    np.testing.assert_array_equal(values["a"], VALUE.T)
    np.testing.assert_array_equal(values["a"], VALUE.T)
    assert asked == ["s", "s"]


def test_specs_are_known_without_reading_anything() -> None:
    asked: list[str] = []
    found = specs_of(deferred(asked))
    assert found == {"a": TensorSpec((3, 2), "float32"), "b": TensorSpec((2, 3), "float16")}
    assert asked == []
    assert specs_of({"v": VALUE}) == {"v": TensorSpec((2, 3), "float32")}
