"""What follows from what several workers say, without any worker."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasguard.planning.agreement import Statement, Verdict, on_checkpoints, on_results

VERIFIED = Statement("verified", manifest="m1", content="c1", asked={"repair": "'exact'"})
MISSING = replace(VERIFIED, state="missing", content="", reason="no such checkpoint")
DAMAGED = replace(VERIFIED, state="damaged", content="c9", reason="head/kernel: not as recorded")
BARE = replace(VERIFIED, state="unrecorded", manifest="")
SILENT = "said nothing"

texts = st.text(max_size=20)
statements = st.builds(
    Statement,
    st.sampled_from(["verified", "unrecorded", "damaged", "missing", "failed", "done"]),
    texts,
    texts,
    st.dictionaries(texts, texts, max_size=2),
    texts,
)
verdicts = st.builds(
    Verdict,
    st.dictionaries(st.integers(0, 99), texts, max_size=3),
    st.integers(-1, 9),
    st.lists(st.integers(0, 9), max_size=3).map(tuple),
    st.booleans(),
    texts,
)


@given(statements)
def test_a_statement_arrives_as_it_was_sent(said: Statement) -> None:
    assert Statement.from_text(said.to_text()) == said


@given(verdicts)
def test_a_verdict_arrives_as_it_was_sent(verdict: Verdict) -> None:
    assert Verdict.from_text(verdict.to_text()) == verdict


def test_equal_checkpoints_are_loaded() -> None:
    assert on_checkpoints([VERIFIED, VERIFIED], "exact", SILENT) == Verdict()
    assert on_checkpoints([BARE, BARE], "exact", SILENT) == Verdict()


@pytest.mark.parametrize("bad", [MISSING, DAMAGED, replace(MISSING, manifest="")])
@pytest.mark.parametrize("rank", [0, 1])
def test_bytes_that_another_worker_verified_are_taken(bad: Statement, rank: int) -> None:
    said = [VERIFIED, VERIFIED, VERIFIED]
    said[rank] = bad
    verdict = on_checkpoints(said, "exact", SILENT)
    assert (verdict.giver, verdict.takers) == (1 - rank, (rank,))
    assert not verdict.reasons


@pytest.mark.parametrize("bad", [MISSING, DAMAGED])
def test_without_repair_nothing_is_taken_and_the_worker_is_named(bad: Statement) -> None:
    verdict = on_checkpoints([VERIFIED, bad], "off", SILENT)
    assert verdict.reasons == {1: bad.reason}
    assert 'repair="exact"' in verdict.hint
    assert not verdict.takers


@pytest.mark.parametrize("policy", ["off", "exact", "lossy", "guess"])
def test_different_checkpoints_are_never_mixed(policy: str) -> None:
    other = replace(VERIFIED, manifest="m2", content="c2")
    for one in (other, replace(BARE, content="c2"), replace(other, manifest="m1")):
        verdict = on_checkpoints([VERIFIED, one], policy, SILENT)  # type: ignore[arg-type]
        assert set(verdict.reasons) == {1}
        assert "a different checkpoint" in verdict.reasons[1]
    for bad in (replace(MISSING, manifest="m2"), replace(DAMAGED, manifest="m2")):
        verdict = on_checkpoints([VERIFIED, bad], policy, SILENT)  # type: ignore[arg-type]
        assert set(verdict.reasons) == {1}
        assert not verdict.takers


def test_equal_bytes_that_were_recorded_apart_are_one_checkpoint() -> None:
    assert on_checkpoints([VERIFIED, replace(VERIFIED, manifest="m2")], "exact", SILENT) == (
        Verdict()
    )
    assert on_checkpoints([VERIFIED, BARE], "exact", SILENT) == Verdict()


def test_nothing_is_taken_from_what_nobody_recorded() -> None:
    verdict = on_checkpoints([BARE, replace(MISSING, manifest="")], "exact", SILENT)
    assert set(verdict.reasons) == {1}


def test_damage_that_nobody_recorded_is_not_repaired() -> None:
    verdict = on_checkpoints([VERIFIED, replace(DAMAGED, manifest="")], "exact", SILENT)
    assert "no manifest" in verdict.reasons[1]


def test_where_every_worker_meets_the_same_each_says_so_itself() -> None:
    for bad in (MISSING, DAMAGED):
        assert on_checkpoints([bad, bad], "exact", SILENT).alike
    assert not on_checkpoints([MISSING, DAMAGED], "exact", SILENT).alike
    assert not on_checkpoints([DAMAGED, replace(DAMAGED, content="c8")], "exact", SILENT).alike


def test_a_worker_that_failed_or_is_silent_stops_all() -> None:
    failed = Statement("failed", reason="disk full", asked=VERIFIED.asked)
    assert on_checkpoints([VERIFIED, failed], "exact", SILENT).reasons == {1: "disk full"}
    assert on_checkpoints([VERIFIED, None], "exact", SILENT).reasons == {1: SILENT}
    assert on_results([Statement("done"), None], "plan", SILENT).reasons == {1: SILENT}


def test_workers_that_ask_for_different_things_are_told_which() -> None:
    other = replace(VERIFIED, asked={"repair": "'off'"})
    verdict = on_checkpoints([VERIFIED, other], "exact", SILENT)
    assert verdict.reasons == {1: "asked for something different: repair='off' (worker 0: 'exact')"}


def test_results_have_to_be_the_same() -> None:
    one, other = Statement("done", content="a"), Statement("done", content="b")
    failed = Statement("failed", content="ModelError", reason="no scope")
    assert on_results([one, one], "plan", SILENT) == Verdict()
    assert on_results([one, other], "plan", SILENT).reasons == {1: "its plan is not worker 0's"}
    assert on_results([failed, one], "plan", SILENT).reasons == {0: "no scope"}
    assert on_results([failed, failed], "plan", SILENT).alike
