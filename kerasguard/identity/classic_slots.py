"""Optimizer state of Keras 1 to 2.3 and TensorFlow 1, whose slots have no names.

These optimizers list their variables in blocks: how often they were applied, then one kind of slot
for every weight, then the next kind. Keras 3 lists all slots of a weight together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kerasguard.tensors import TensorRecord

__all__ = ["in_blocks", "is_classic"]

_UNNAMED = re.compile(r"(Variable|param)(_\d+)?|iterations")

# Kinds of slots in the order of the blocks, under the names of Keras 3.
_BLOCKS: Mapping[str, tuple[str, ...]] = {
    "adadelta": ("accumulated_grad", "accumulated_delta_var"),
    "adagrad": ("accumulator",),
    "adam": ("momentum", "velocity", "velocity_hat"),
    "adamax": ("momentum", "norm"),
    "rmsprop": ("velocity",),
    "sgd": ("momentum",),
}


def is_classic(other: Sequence[TensorRecord]) -> bool:
    """Whether stored state has the names that variables without a name got in these versions."""
    return all(_UNNAMED.fullmatch(r.variable) for r in other)


def in_blocks(
    optimizer: str, mine: Sequence[TensorRecord], other: Sequence[TensorRecord]
) -> dict[str, str] | None:
    """Stored tensor by expected one; None where the stored ones are no such blocks.

    Args:
        optimizer: the class, as `adam`.
        mine: the model's state, with slots.
        other: the stored state, in order, without slots.
    """
    shapes = {r.slot_of: r.spec.shape for r in mine if r.slot_of}
    wanted = {(r.slot, r.slot_of): r for r in mine if r.slot_of}
    kinds = _BLOCKS.get(optimizer, ())
    if not {slot for slot, _ in wanted} <= set(kinds):
        return None
    pairs, left = _count_of_steps(mine, other)
    size = len(shapes)  # none for SGD without momentum, which has no slots today
    blocks = [left[n : n + size] for n in range(0, len(left), size)] if size else []
    for kind, block in zip(kinds, blocks, strict=False):
        slots = [wanted.get((kind, weight)) for weight in shapes]
        found = _of_a_block(slots, block, list(shapes.values()))
        if found is None:
            return None
        pairs |= found
    return pairs if pairs and all(r.key in pairs for r in wanted.values()) else None


def _of_a_block(
    slots: Sequence[TensorRecord | None],
    block: Sequence[TensorRecord],
    shapes: Sequence[tuple[int, ...]],
) -> dict[str, str] | None:
    """Pairs of one slot for every weight; None where the shapes are not the weights'."""
    if not any(slots) and all(r.spec.shape == (1,) for r in block):
        return {}  # Adam without amsgrad keeps a zero for each weight
    if [r.spec.shape for r in block] != list(shapes):
        return None
    return {a.key: b.key for a, b in zip(slots, block, strict=True) if a is not None}


def _count_of_steps(
    mine: Sequence[TensorRecord], other: Sequence[TensorRecord]
) -> tuple[dict[str, str], Sequence[TensorRecord]]:
    """The pair of the counts of steps, where there is one, and what is stored behind it."""
    counts = [r for r in mine if r.slot == "iteration"]
    if counts and other and not other[0].spec.shape:
        return {counts[0].key: other[0].key}, other[1:]
    return {}, other
