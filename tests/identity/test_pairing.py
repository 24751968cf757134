"""Which stored layer is which expected one, as a value."""

from __future__ import annotations

from kerasguard.identity.pairing import Doubt, Pairing


def test_the_addressing_is_the_whole_answer_or_not() -> None:
    assert Pairing({"a": "a"}, {"a": "address"}).addressed
    assert not Pairing({"a": "b"}, {"a": "graph"}).addressed


def test_a_doubt_has_its_candidates_and_its_reason() -> None:
    doubt = Doubt(("x", "y"), "two fit")
    assert doubt.candidates == ("x", "y")
    assert doubt.reason == "two fit"
