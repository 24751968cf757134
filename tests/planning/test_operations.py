"""Operations act on a spec and on an array, so that a dry run is exact."""

from __future__ import annotations

import numpy as np
import pytest

from kerasguard.planning.operations import (
    Cast,
    Concat,
    Flip,
    Op,
    Pick,
    Reshape,
    Safety,
    Step,
    Sum,
    Transpose,
    op_from_dict,
    op_to_dict,
    spec_of,
)
from kerasguard.tensors import TensorSpec

ARRAY = np.arange(24, dtype="float32").reshape(2, 3, 4)
OPS: list[Op] = [
    Cast("float16"),
    Transpose((2, 0, 1)),
    Reshape((6, 4)),
    Flip((0, 2)),
    Pick(1, (2, 0)),
    Sum(0),
]


@pytest.mark.parametrize("op", OPS, ids=lambda op: type(op).__name__)
def test_what_is_inferred_is_what_is_produced(op: Op) -> None:
    assert op.infer(spec_of(ARRAY)) == spec_of(op.apply(ARRAY))
    assert op_from_dict(op_to_dict(op)) == op


@pytest.mark.parametrize(
    "op",
    [Cast("complex7"), Transpose((0, 1)), Reshape((5, 5)), Flip((3,)), Pick(1, (3,)), Sum(3)],
    ids=lambda op: type(op).__name__,
)
def test_an_operation_that_does_not_fit_is_a_value_error(op: Op) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        op.infer(spec_of(ARRAY))


def test_values_are_those_of_numpy() -> None:
    np.testing.assert_array_equal(Transpose((1, 0, 2)).apply(ARRAY), ARRAY.transpose(1, 0, 2))
    np.testing.assert_array_equal(Flip((1,)).apply(ARRAY), ARRAY[:, ::-1])
    np.testing.assert_array_equal(Pick(2, (3, 1)).apply(ARRAY), ARRAY[..., [3, 1]])
    np.testing.assert_array_equal(Sum(1).apply(ARRAY), ARRAY.sum(1))


def test_a_step_joins_its_sources_first() -> None:
    step = Step("t", ("a", "b"), (Transpose((1, 0)),), Concat(1))
    a, b = np.ones((2, 3), "float32"), np.zeros((2, 1), "float32")
    assert step.infer([spec_of(a), spec_of(b)]) == TensorSpec((4, 2), "float32")
    result = step.apply([a, b])
    np.testing.assert_array_equal(result, np.concatenate([a, b], 1).T)
    assert result.flags.c_contiguous
    assert Step.from_dict(step.to_dict()) == step


def test_tensors_of_other_sizes_or_dtypes_do_not_join() -> None:
    for other in (TensorSpec((3, 3), "float32"), TensorSpec((2, 3), "float64")):
        with pytest.raises(ValueError, match="cannot join"):
            Concat(1).join([TensorSpec((2, 3), "float32"), other])


def test_then_adds_operations_at_the_end() -> None:
    step = Step("t", ("a",), (Sum(0),)).then(Cast("float16"))
    assert step.ops == (Sum(0), Cast("float16"))


def test_safety_rises_with_risk() -> None:
    assert [s.rank for s in (Safety.EXACT, Safety.LOSSY, Safety.GUESS)] == [0, 1, 2]
