"""Optimizer state of old Keras, which lies in blocks and has no names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kerasguard.identity.classic_slots import in_blocks, is_classic
from kerasguard.identity.optimizer_state import pair_optimizers
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec

WEIGHTS = {"a/kernel": (4, 4), "b/kernel": (4, 4)}  # of one shape: nothing but the place tells


def state(key: str, shape: tuple[int, ...], **more: str) -> TensorRecord:
    spec = TensorSpec(shape, "float32")
    return TensorRecord(key, spec, key, role="optimizer", **{"variable": key, **more})  # type: ignore[arg-type]


def mine(*slots: str) -> list[TensorRecord]:
    """Keras 3 lists the slots of a weight together."""
    made = [state(f"{w}/{s}", WEIGHTS[w], slot=s, slot_of=w) for w in WEIGHTS for s in slots]
    rate = state("learning_rate", (), slot="learning_rate")
    return [state("iteration", (), slot="iteration"), rate, *made]


def other(*shapes: tuple[int, ...], name: str = "Variable") -> list[TensorRecord]:
    return [state(f"{name}_{n}" if n else name, shape) for n, shape in enumerate(shapes)]


SLOT = (4, 4)


@pytest.mark.parametrize("name", ["Variable", "param"])
@pytest.mark.parametrize("zeros", [0, 2])
def test_moments_lie_in_blocks_with_or_without_the_zeros_of_amsgrad(name: str, zeros: int) -> None:
    stored = other((), *[SLOT] * 4, *[(1,)] * zeros, name=name)
    assert is_classic(stored)
    assert in_blocks("adam", mine("momentum", "velocity"), stored) == {
        "iteration": name,
        "a/kernel/momentum": f"{name}_1",
        "b/kernel/momentum": f"{name}_2",
        "a/kernel/velocity": f"{name}_3",
        "b/kernel/velocity": f"{name}_4",
    }


@pytest.mark.parametrize("counted", [True, False])
def test_an_optimizer_need_not_count_how_often_it_was_applied(counted: bool) -> None:
    stored = other(*[()] * counted, SLOT, SLOT)
    found = in_blocks("rmsprop", mine("velocity"), stored)
    assert found is not None
    assert len(found) == 2 + counted


def test_what_sgd_kept_without_momentum_is_not_needed() -> None:
    assert in_blocks("sgd", mine(), other((), SLOT, SLOT)) == {"iteration": "Variable"}


@pytest.mark.parametrize(
    ("optimizer", "slots", "shapes"),
    [
        ("adam", ("momentum", "velocity"), [(), SLOT, SLOT, SLOT]),  # a block is not whole
        ("adam", ("momentum", "velocity"), [(), SLOT, SLOT, SLOT, (5, 4)]),
        ("nadam", ("momentum", "velocity"), [(), SLOT, SLOT, SLOT, SLOT]),
        ("adam", ("momentum", "velocity", "velocity_hat"), [(), *[SLOT] * 4, (1,), (1,)]),
    ],
)
def test_what_is_no_such_row_of_blocks_is_not_restored(
    optimizer: str, slots: Sequence[str], shapes: Sequence[tuple[int, ...]]
) -> None:
    assert in_blocks(optimizer, mine(*slots), other(*shapes)) is None
    layers = {"optimizer": LayerRecord("optimizer", optimizer)}
    expected, stored = (
        Table({r.key: r for r in records}, layers) for records in (mine(*slots), other(*shapes))
    )
    found = pair_optimizers(expected, stored, {}, {}, in_order=True)
    assert not found.pairs
    assert optimizer in found.reason


def test_state_that_has_names_or_none_at_all_is_not_of_these_versions() -> None:
    assert not is_classic([state("optimizer/vars/0", (), variable="")])
    assert not is_classic([state("iteration", ()), *other(SLOT)])
    assert is_classic([state("iterations", ()), *other(SLOT)])


def table(cls: str, *records: TensorRecord) -> Table:
    return Table.of(records, layers={"optimizer": LayerRecord("optimizer", "", cls)})


@pytest.mark.parametrize("named", [True, False])
def test_momenta_that_sgd_of_keras_2_never_used_are_left(named: bool) -> None:
    count = TensorRecord("n", TensorSpec((), "int64"), "n", role="optimizer", variable="iteration")
    count = replace(count, slot="iteration") if named else count
    moments = [
        state(f"m/{w}", shape, **({"slot": "momentum", "slot_of": w} if named else {}))
        for w, shape in WEIGHTS.items()
    ]
    stored = table("SGD", count, *moments)
    found = pair_optimizers(table("SGD", *mine()), stored, {}, {}, in_order=True)
    assert (found.pairs, found.reason) == ({"iteration": "n"}, "")
    found = pair_optimizers(table("Adam", *mine()), stored, {}, {}, in_order=True)
    assert not found.pairs
    assert "another optimizer class" in found.reason
