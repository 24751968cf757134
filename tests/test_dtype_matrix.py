"""Every dtype that a tensor may be stored in, into every dtype that a model may expect."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tables import Layer, table

from kerasguard.loader.diagnose import diagnose
from kerasguard.planning.cast_loss import cast_loss
from kerasguard.planning.operations import Safety
from kerasguard.planning.plan import Policy, RepairPlan
from kerasguard.tensors import Table, TensorSpec
from kerasguard.tensors.elements import Array, numpy_dtype

DTYPES = (
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2",
    "int32", "int8", "int4", "bool",
)  # fmt: skip
KEY = "layers/dense/vars/0"
VALUES = (0.0, 1.0, -1.0, 3.0, 0.1, -2.5, 100.0, 1e-3, 1e-9, 7e4, 16777217.0, 1e30, -1e300)
"""Whole and not, large and small: for each step from a type to a narrower one some that do not
survive it."""


def stored_values(dtype: str) -> Array:
    """Those of `VALUES` that a checkpoint of this dtype can hold, as it holds them."""
    with np.errstate(all="ignore"):
        wide = np.array(VALUES, np.float64)
        if dtype == "bool":
            return np.array([False, True, True])
        if "int" in dtype:
            limit = {"int32": 2**31, "int8": 2**7, "int4": 2**3}[dtype]
            wide = wide[(np.trunc(wide) == wide) & (np.abs(wide) < limit)]
            return np.array(wide, np.int64).astype(numpy_dtype(dtype))
        held = wide.astype(numpy_dtype(dtype))
        kept: Array = held[np.isfinite(held.astype(np.float64))]
        return kept


def planned(have: str, want: str, values: Array, repair: Policy = "exact") -> RepairPlan:
    """The plan for one layer whose first variable holds these values."""

    def typed(dtype: str) -> Table:
        whole = table([Layer("only", (len(values),))])
        spec = TensorSpec((len(values),), dtype)
        return replace(
            whole, tensors={**whole.tensors, KEY: replace(whole.tensors[KEY], spec=spec)}
        )

    return diagnose(
        typed(want),
        typed(have),
        repair=repair,
        loss=lambda step, dtype: cast_loss(step.apply([values]), dtype),
    )


def one_by_one(values: Array, want: str) -> tuple[int, int, float]:
    """How many have no place in `want`, how many become zero, and the largest rounding error."""
    overflows = flushed = 0
    error = 0.0
    target = numpy_dtype(want)
    limits = {"int32": (-(2**31), 2**31 - 1), "int8": (-128, 127), "int4": (-8, 7), "bool": (0, 1)}
    for value in values:
        number = float(value)
        if want in limits:
            low, high = limits[want]
            if not low <= number <= high:
                overflows += 1
                continue
            after = float(bool(number)) if want == "bool" else float(math.trunc(number))
        else:
            with np.errstate(all="ignore"):
                after = float(np.array(value).astype(target))
            if not math.isfinite(after):
                overflows += 1
                continue
        flushed += number != 0 and after == 0
        error = max(error, abs(number - after))
    return overflows, flushed, error


@pytest.mark.parametrize("want", DTYPES)
@pytest.mark.parametrize("have", DTYPES)
def test_a_stored_dtype_into_an_expected_one_is_told_with_its_numbers(have: str, want: str) -> None:
    values = stored_values(have)
    assert len(values) > 2
    plan = planned(have, want, values)
    if have == want:
        assert plan.findings == ()
        return
    (found,) = plan.findings
    assert (found.code, found.key) == ("KG202", KEY)
    assert f"dtype is {have}, expected {want}" in found.message
    overflows, flushed, error = one_by_one(values, want)
    loses = bool(overflows or flushed or error)
    assert (found.safety is Safety.LOSSY) == loses
    assert plan.total != loses  # what loses nothing is done, the rest is refused
    assert f"rounds by up to {error:.3g} " in found.message or not loses
    whole = want == "bool" or "int" in want
    what = "do not fit" if whole else "become infinite"
    assert (f"{overflows} values {what}" in found.message) == bool(overflows)
    assert (f"{flushed} become zero" in found.message) == bool(flushed)
    assert planned(have, want, values, "lossy").total
    assert not planned(have, want, values, "off").total


KNOWN = {
    ("float32", "float16"): ((1e5, 1e-9, 0.1), (1, 1, 2.44e-05)),
    ("float64", "float32"): ((16777217.0, 1e300, 1e-300), (1, 1, 1.0)),
    ("float32", "bfloat16"): ((257.0, 3.4e38, 1e-45), (1, 1, 1.0)),
    ("float32", "float8_e4m3fn"): ((448.0, 480.0, 17.0), (1, 0, 1.0)),
    ("float32", "float8_e5m2"): ((57344.0, 65536.0, 9.0), (1, 0, 1.0)),
    ("int32", "int8"): ((127, 128, -129), (2, 0, 0.0)),
    ("int32", "float32"): ((16777216, 16777217, 5), (0, 0, 1.0)),
    ("int8", "int4"): ((7, 8, -9), (2, 0, 0.0)),
    ("float32", "int4"): ((7.0, -8.0, 0.5), (0, 1, 0.5)),
    ("float32", "bool"): ((1.0, 2.0, 0.25), (1, 0, 0.75)),
}


@pytest.mark.parametrize("pair", KNOWN, ids=" into ".join)
def test_what_a_cast_loses_is_known_by_its_bits(pair: tuple[str, str]) -> None:
    (have, want), (numbers, expected) = pair, KNOWN[pair]
    loss = cast_loss(np.array(numbers).astype(numpy_dtype(have)), want)
    overflows, flushed, error = expected
    assert (loss.overflows, loss.flushed) == (overflows, flushed)
    assert loss.error == pytest.approx(error, rel=0.01)


def test_what_fits_a_narrower_type_bit_for_bit_is_cast_without_asking() -> None:
    halves = np.array([0.5, 1.0, -2.0], np.float64)
    plan = planned("float64", "float16", halves)
    assert plan.total
    assert [f.safety for f in plan.applied] == [Safety.EXACT]
    assert "every value survives" in plan.applied[0].message
