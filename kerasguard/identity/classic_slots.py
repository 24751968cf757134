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
    weights = list(dict.fromkeys(r.slot_of for r in mine if r.slot_of))
    shapes = {r.slot_of: r.spec.shape for r in mine if r.slot_of}
    kinds = _BLOCKS.get(optimizer, ())
    counts = [r for r in mine if r.slot == "iteration"]
    wanted = {(r.slot, r.slot_of): r for r in mine if r.slot_of}
    if not {slot for slot, _ in wanted} <= set(kinds):
        return None
    pairs: dict[str, str] = {}
    left = list(other)
    if left and not left[0].spec.shape and counts:
        pairs[counts[0].key] = left.pop(0).key
    size = len(weights)  # none for SGD without momentum, which has no slots today
    blocks = [left[n : n + size] for n in range(0, len(left), size)] if size else []
    for kind, block in zip(kinds, blocks, strict=False):
        if all(r.spec.shape == (1,) for r in block) and (kind, weights[0]) not in wanted:
            continue  # Adam without amsgrad keeps a zero for each weight
        if [r.spec.shape for r in block] != [shapes[weight] for weight in weights]:
            return None
        for weight, record in zip(weights, block, strict=True):
            if (kind, weight) in wanted:
                pairs[wanted[kind, weight].key] = record.key
    return pairs if pairs and all(r.key in pairs for r in wanted.values()) else None
