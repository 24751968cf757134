"""State whose slots are unnamed goes by position, where the positions are the same."""

from __future__ import annotations

from kerasguard.identity.slot_order import thawed
from kerasguard.tensors import Table, TensorRecord, TensorSpec

SPEC = TensorSpec((2, 2), "float32")


def table(**trainable: bool | None) -> Table:
    return Table.of(
        TensorRecord(f"layers/{name}/vars/0", SPEC, name=f"{name}/kernel", trainable=trains)
        for name, trains in trainable.items()
    )


def slots(*names: str) -> list[TensorRecord]:
    return [
        TensorRecord(f"optimizer/vars/{n}", SPEC, role="optimizer", slot_of=f"layers/{name}/vars/0")
        for n, name in enumerate(names)
    ]


def test_a_slot_of_what_was_frozen_is_nobody_s_at_its_position() -> None:
    assert thawed(slots("a"), table(a=True, b=False), table(a=False, b=None), str)


def test_what_is_frozen_then_and_now_or_not_told_of_says_nothing() -> None:
    assert not thawed(slots("a", "b"), table(a=False, b=True), table(a=False, b=None), str)
