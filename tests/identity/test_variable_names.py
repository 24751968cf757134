"""When two spellings of a variable's name mean one variable."""

from __future__ import annotations

import pytest

from kerasguard.identity.variable_names import same_variable


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("kernel", "kernel"),
        ("kernel_1", "kernel"),
        ("W", "kernel"),
        ("W", "embeddings"),
        ("U", "recurrent_kernel"),
        ("b", "bias"),
        ("running_std", "moving_variance"),
        ("sn_u", "vector_u"),
    ],
)
def test_older_spellings_are_the_same_variable(stored: str, expected: str) -> None:
    assert same_variable(stored, expected)


@pytest.mark.parametrize(
    ("stored", "expected"), [("bias", "kernel"), ("W", "bias"), ("kernel", "W"), ("", "kernel")]
)
def test_other_names_are_not(stored: str, expected: str) -> None:
    assert not same_variable(stored, expected)
