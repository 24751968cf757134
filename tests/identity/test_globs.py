"""Patterns over paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasguard.identity.globs import covers, near

NAMES = st.text("ab_0", min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("head", "head", True),
        ("head", "head/kernel", True),
        ("head", "header/kernel", False),
        ("head/kernel", "head", False),
        ("*/kernel", "head/kernel", True),
        ("*/kernel", "body/head/kernel", False),
        ("**/kernel", "body/head/kernel", True),
        ("**/kernel", "kernel", True),
        ("block_[12]", "block_2/conv/kernel", True),
        ("block_?", "block_12", False),
        ("body/**/bias", "body/bias", True),
        ("/head/", "head/kernel", True),
    ],
)
def test_a_star_stays_inside_its_level(pattern: str, path: str, matches: bool) -> None:
    assert covers(pattern, path) is matches


@given(PATHS, PATHS)
def test_a_layer_covers_all_that_is_below_it(path: str, rest: str) -> None:
    assert covers(path, f"{path}/{rest}")
    assert covers("**", path)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("kernel", "head/kernel"),  # ends like the pattern; of two, the shorter
        ("haed/kernel", "head/kernel"),
        ("**/kernal", "body/dense/kernel"),
        ("nothing like it", ""),
    ],
)
def test_the_path_that_was_meant_is_found(pattern: str, meant: str) -> None:
    assert near(pattern, ["body/dense/kernel", "head/kernel", "head/bias"]) == meant
