"""Optimizer state whose slots are not told: by position, or what needs no slots at all."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from kerasguard.tensors import Table, TensorRecord

__all__ = ["by_position", "counted", "never_built", "thawed", "without_slots"]


def never_built(other: Sequence[TensorRecord]) -> bool:
    """Whether it was saved before its first step: it counts, it has a rate, and no slots."""
    return 1 <= len(other) <= 2 and all(not r.spec.shape for r in other)


def by_position(
    mine: list[TensorRecord],
    other: list[TensorRecord],
    *,
    in_order: bool,
    but: Container[str] = (),
) -> tuple[dict[str, str], str]:
    """One after the other, which is how Keras itself restores state; `but` may have any shape."""
    if len(mine) == len(other) + 1:  # Keras 2 kept no learning rate, the rest in the same order
        mine = [r for r in mine if "learning_rate" not in (r.slot, r.variable)]
    elif len(other) == len(mine) + 1 and not any(r.slot == "learning_rate" for r in mine):
        # The model's rate follows a schedule; Keras 3 keeps a plain one behind the iteration.
        other = [r for i, r in enumerate(other) if i != 1 or r.spec.shape]
    if len(mine) != len(other):
        return {}, f"the model's optimizer has {len(mine)} tensors, the checkpoint {len(other)}"
    if not in_order:
        return (
            {},
            "layers changed places, and the file does not say which weight each slot belongs to",
        )
    pairs = list(zip(mine, other, strict=True))
    wrong = [r for r, s in pairs if r.spec.shape != s.spec.shape and r.key not in but]
    if wrong:
        return {}, f"{wrong[0].label} has another shape in the checkpoint"
    return {r.key: s.key for r, s in pairs}, ""


def counted(mine: list[TensorRecord], other: list[TensorRecord]) -> dict[str, str]:
    """How often it was applied, and its rate, of an optimizer that was saved before it was built.

    Its slots are as fresh then as those of the model's.
    """
    own = [r for r in mine if r.slot in ("iteration", "learning_rate")]
    return {r.key: s.key for r, s in zip(own, other, strict=False)}


def without_slots(
    mine: list[TensorRecord], other: list[TensorRecord]
) -> tuple[dict[str, str], str]:
    """How often it was applied, of an optimizer that keeps nothing for a weight.

    SGD of Keras 2.11 to 2.15 made momenta also where the momentum is 0, and never used them.
    """
    counts = [r for r in mine if r.slot == "iteration"]
    scalars = [r for r in other if not r.spec.shape]
    if len(counts) != 1 or scalars != other[:1] or "int" not in scalars[0].spec.dtype:
        return {}, f"the model's optimizer has {len(mine)} tensors, the checkpoint {len(other)}"
    return {counts[0].key: scalars[0].key}, ""


def thawed(
    mine: Sequence[TensorRecord], expected: Table, stored: Table, weights: Callable[[str], str]
) -> bool:
    """Whether a slot is of a variable that trains now and was frozen when the file was saved.

    The positions are those of other variables then, also where as many of the same shapes train.

    Args:
        mine: the model's tensors of one optimizer.
        expected: the model's table.
        stored: the checkpoint's, whose weights say that they were frozen where its config does.
        weights: gives the stored weight of an expected weight.
    """
    for key in {r.slot_of for r in mine if r.slot_of}:
        now, then = expected.tensors.get(key), stored.tensors.get(weights(key))
        if now is not None and now.trainable and then is not None and then.trainable is False:
            return True
    return False
