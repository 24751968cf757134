"""A finding says what is wrong with one thing, and may carry its repair."""

from __future__ import annotations

from kerasguard.errors import listed
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Cast, Safety, Step

REPAIR = Step("a", ("b",), (Cast("float32"),))


def test_a_finding_survives_json() -> None:
    for finding in (
        Finding("KG101", "a", "a: missing"),
        Finding("KG202", "a", "a: dtype", Severity.WARNING, (REPAIR,), Safety.LOSSY),
    ):
        assert Finding.from_dict(finding.to_dict()) == finding


def test_it_says_how_sure_a_repair_is_unless_it_is_exact() -> None:
    exact = Finding("KG201", "a", "a: axes", repairs=(REPAIR,))
    guess = Finding("KG201", "a", "a: axes", repairs=(REPAIR,), safety=Safety.GUESS)
    assert str(exact) == "KG201 a: axes"
    assert str(guess) == "KG201 a: axes [guess]"
    assert str(Finding("KG201", "a", "a: axes", safety=Safety.GUESS)) == "KG201 a: axes"


def test_long_lists_say_how_many_more_there_are() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdef"), 4) == "a, b, c, d and 2 more"
