"""`where` and `switch`, whose condition TensorFlow 1, TensorFlow 2 and Keras spread differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.lambdas.arithmetic import array
from kerasguard.blueprint.lambdas.binding import planned
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.kinds import merged
from kerasguard.blueprint.lambdas.operators import kind_of
from kerasguard.blueprint.lambdas.values import Tensor

__all__ = ["chosen", "rank_of"]


def rank_of(value: Any) -> int | None:
    """The number of axes of a tensor or a constant; None where it cannot be told."""
    if isinstance(value, Tensor):
        return None if value.shape is None else len(value.shape)
    return int(np.ndim(array(value)))


def chosen(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """`where` and `switch`.

    TensorFlow 1 takes the rows of two tensors if the condition has one axis; TensorFlow 2 spreads
    it along the last axis. `K.switch` spreads a condition with more axes along the missing ones.
    """
    test, *others = given.values()
    if len(others) != 2:
        raise Unsupported(f"{short} without two values to choose from")
    rank, *ranks = map(rank_of, given.values())
    if rank is None or None in ranks:
        raise Unsupported(f"{short} of tensors whose shapes are not in the file")
    for _ in range(_missing_axes(drawing, short, rank, [n for n in ranks if n is not None])):
        test = planned(drawing, "expand_dims", {"input": test, "axis": -1})
    kind = merged(x.kind for x in others if isinstance(x, Tensor)) or kind_of(*others)
    return planned(drawing, "where", {"condition": test, "x": others[0], "y": others[1]}, kind)


def _missing_axes(drawing: Drawing, short: str, rank: int, ranks: Sequence[int]) -> int:
    """How many axes a condition gets at its end before it is spread over what it chooses from.

    Args:
        drawing: which knows TensorFlow's version.
        short: name of the function.
        rank: of the condition.
        ranks: of the two values.
    """
    wanted, either = max(ranks), "compat.v1" not in short
    newer = drawing.tensorflow == 2 and either
    rows = rank == 1 and not newer
    if 0 < rank < wanted and (rows or (rank > 1 and short == "K.switch")):
        if rows and drawing.tensorflow == 0 and either:
            raise Unsupported(f"{short}, which TensorFlow 1 and 2 compute differently here,")
        return wanted - rank
    if not newer and rank > 0 and set(ranks) != {rank} and 0 not in ranks:
        raise Unsupported(f"{short} of tensors of several ranks")
    return 0
