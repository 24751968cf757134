"""JSON that has one reading for every parser."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasguard.storage.strict_json import strict_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 10**20, 10**20 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=10,
)


@given(VALUES.map(lambda v: json.dumps(v, ensure_ascii=bool(v))))
def test_it_reads_json_as_python_does(text: str) -> None:
    assert strict_json(text.encode()) == strict_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "'a' twice"),
        ('[{"x": {"a": 1, "a": 1}}]', "twice"),
        ("NaN", "not JSON"),
        ("[-Infinity]", "not JSON"),
        ("9" * 21, "21 digits"),
        ("1e999", "too large"),
        ('"\\ud800"', "surrogate"),
        ('{"\\udfff": 1}', "surrogate"),
        ("[" * 250 + "]" * 250, "200 levels"),
        ('{"a":' * 250 + "1" + "}" * 250, "200 levels"),
        ("[" * 100_000, "200 levels"),
        ("\ufeff{}", "BOM"),
        ("{} x", "Extra data"),
        ("", "Expecting value"),
        ("{'a': 1}", "property name"),
    ],
)
def test_what_another_parser_might_read_otherwise_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strict_json(text)


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        strict_json(b'"\xff"')


def test_more_bytes_than_allowed_are_not_parsed() -> None:
    with pytest.raises(ValueError, match="at most 10"):
        strict_json(b" " * 11, max_bytes=10)


def test_constants_are_read_where_the_caller_knows_of_them() -> None:
    value = strict_json("[NaN, Infinity, -Infinity]", constants=True)
    assert math.isnan(value[0])
    assert value[1:] == [math.inf, -math.inf]


def test_two_hundred_levels_are_read() -> None:
    assert strict_json("[" * 199 + "]" * 199)
