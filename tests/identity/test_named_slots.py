"""State whose slots are named: each goes to its variable, all of a variable's or none."""

from __future__ import annotations

from kerasguard.identity.named_slots import by_slot
from kerasguard.tensors import TensorRecord, TensorSpec


def slots(side: str, *names: tuple[str, str], shape: tuple[int, ...] = (2,)) -> list[TensorRecord]:
    return [
        TensorRecord(
            f"{side}/{slot}/{weight}", TensorSpec(shape if weight else (), "float32"),
            role="optimizer", slot=slot, slot_of=weight,
        )
        for slot, weight in names
    ]  # fmt: skip


def test_slots_follow_their_variables_to_another_name() -> None:
    mine = slots("new", ("iteration", ""), ("momentum", "a"), ("momentum", "b"))
    other = slots("old", ("momentum", "y"), ("momentum", "x"), ("iteration", ""))
    pairs, reason, resized = by_slot(mine, other, {"a": "x", "b": "y"}.__getitem__)
    assert pairs == {
        "new/iteration/": "old/iteration/",
        "new/momentum/a": "old/momentum/x",
        "new/momentum/b": "old/momentum/y",
    }
    assert (reason, resized) == ("", frozenset())


def test_a_variable_without_state_starts_fresh_and_the_others_keep_theirs() -> None:
    mine = slots("new", ("momentum", "a"), ("momentum", "b"))
    pairs, reason, _ = by_slot(mine, slots("old", ("momentum", "a")), str)
    assert (pairs, reason) == ({"new/momentum/a": "old/momentum/a"}, "")


def test_half_of_a_variable_s_slots_are_another_optimizer_s() -> None:
    mine = slots("new", ("momentum", "a"), ("velocity", "a"))
    pairs, reason, _ = by_slot(mine, slots("old", ("momentum", "a")), str)
    assert pairs == {}
    assert "another optimizer's slots" in reason


def test_state_of_none_of_the_model_s_variables_is_not_restored() -> None:
    mine = slots("new", ("momentum", "a"))
    pairs, reason, _ = by_slot(mine, slots("old", ("momentum", "z")), str)
    assert (pairs, reason) == ({}, "it belongs to variables that are not trainable in the model")


def test_slots_of_another_shape_are_named() -> None:
    mine = slots("new", ("momentum", "a"))
    other = slots("old", ("momentum", "a"), shape=(3,))
    assert by_slot(mine, other, str) == ({}, "", frozenset({"new/momentum/a"}))
