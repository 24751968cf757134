"""Inputs that anybody can make again, and what counts as the same output."""

from __future__ import annotations

import numpy as np
import pytest

from kerasguard.planning.probe import (
    Difference,
    compared,
    drawn,
    sampled,
    summary,
    tolerance,
)

UNIT = {"shape": [2, 3], "dtype": "float32", "low": 0.0, "high": 1.0}


def test_an_input_is_the_same_on_every_machine_for_ever() -> None:
    """A manifest holds the outputs for exactly these numbers: those of SplitMix64 for seed 0."""
    first = drawn(UNIT, 0)
    assert first.dtype == "float32"
    np.testing.assert_array_equal(first, drawn(UNIT, 0))
    known = np.array([0xE220A8, 0x6E789E, 0x06C45D, 0xF88BB8, 0x1B3989, 0x53CB9F]) / (1 << 24)
    np.testing.assert_array_equal(first.ravel(), known.astype("float32"))
    assert not np.array_equal(first, drawn(UNIT, 1))


def test_whole_numbers_and_words_are_drawn_from_all_there_are() -> None:
    whole = {"shape": [500], "dtype": "int32", "low": 2, "high": 5, "whole": True}
    assert set(drawn(whole, 0).tolist()) == {2, 3, 4}
    words = drawn({"shape": [100], "words": ["a", "b"], "dtype": "string"}, 0)
    assert set(words.tolist()) == {"a", "b"}


def test_a_large_output_is_sampled_and_a_small_one_is_kept() -> None:
    large = np.arange(200_000.0)
    assert sampled(large).tolist()[:2] == [0.0, 4.0]
    assert len(sampled(large)) <= 1 << 16
    assert sampled(large[:10]) is not None
    np.testing.assert_array_equal(sampled(large[:10]), large[:10])


def test_a_summary_tells_permutations_apart() -> None:
    values = np.arange(6.0)
    assert summary(values)[:3] == summary(values[::-1])[:3]
    assert summary(values)[3:] != summary(values[::-1])[3:]
    assert summary(values[:0]) == [0.0] * 5


@pytest.mark.parametrize(
    ("recorded", "now", "error"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([np.nan, 2.0], [np.nan, 2.0], 0.0),
        ([np.nan, 2.0], [1.0, 2.0], np.inf),
        ([np.inf, 2.0], [np.inf, 1.0], 1.0),
        ([np.inf], [-np.inf], np.inf),
        ([np.nan], [np.inf], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
    ],
)
def test_the_difference_is_the_largest_one(
    recorded: list[float], now: list[float], error: float
) -> None:
    assert compared(np.array(recorded), np.array(now)).error == error


def test_words_are_equal_or_not() -> None:
    words = np.array(["a", "b"], dtype=object)
    assert compared(words, words.copy()).error == 0.0
    assert compared(words, words[::-1]).error == np.inf


def test_a_difference_is_seen_in_relation_to_the_largest_value() -> None:
    assert Difference(0.5, 2.0).relative == 0.25
    assert Difference(0.0, 0.0).relative == 0.0


def test_coarser_numbers_and_other_devices_may_be_further_apart() -> None:
    same = {name: tolerance([name], same_device=True) for name in ("float32", "float16")}
    assert same["float32"] < same["float16"]
    assert tolerance(["float32", "float16"], same_device=True) == same["float16"]
    assert tolerance(["float32"], same_device=False) > same["float32"]
    assert tolerance(["float32"], same_device=True, quantised=True) > same["float32"]
