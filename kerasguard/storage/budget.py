"""How much is read of a file of strangers: memory and time grow with its size, whatever it claims.

Every limit on sizes and counts is a number times `KERASGUARD_LIMITS` in the environment, which is 1
where nobody has set it: whoever trusts a file that is larger than any model was so far raises all
of them at once. How deep things may be nested is no matter of size and stays as it is.
"""

from __future__ import annotations

import contextlib
import math
import os

from kerasguard.errors import ArgumentError
from kerasguard.tensors import TensorSpec

__all__ = ["LIMITS", "allowed", "check_shape", "excess", "times", "unpacked_limit"]

LIMITS = "KERASGUARD_LIMITS"
_SPARE, _TIMES = 64 << 20, 16
_MOST_AXES = 32  # of NumPy before 2


def times() -> float:
    """By how much every limit is raised.

    Raises:
        ArgumentError: the environment tells no number of 1 or more.
    """
    told = os.environ.get(LIMITS, "1")
    with contextlib.suppress(ValueError):
        if 1 <= float(told) < math.inf:
            return float(told)
    raise ArgumentError(f"{LIMITS}={told!r:.40} in the environment is not a number of 1 or more")


def allowed(limit: int) -> int:
    """A limit as the caller has raised it."""
    return int(limit * times())


def excess(found: int, limit: int) -> str:
    """How a sentence about a number goes on that is over its limit; empty where it is not.

    Args:
        found: so many there are.
        limit: so many are read, before a caller raises it.
    """
    if found <= limit or found <= (most := allowed(limit)):
        return ""
    needed = math.ceil(found / max(limit, 1))
    return f"; at most {most} are read ({LIMITS}={needed} in the environment allows it)"


def check_shape(spec: TensorSpec) -> None:
    """Raise ValueError for a shape that no array has; what it says of itself is no defence.

    A zero in it makes any shape a small one, and axes of one any number of them.
    """
    if len(spec.shape) > _MOST_AXES:
        raise ValueError(f"has {len(spec.shape)} axes; an array has at most {_MOST_AXES}")
    if math.prod(filter(None, spec.shape)) >> 56:
        raise ValueError(f"is {spec}, more than any memory holds")


def unpacked_limit(size: int) -> int:
    """Bytes that a file of `size` bytes may become in memory, before a caller raises it.

    Weights hardly compress; zeros do, and slots of an optimizer may be zeros. Sixteen times leaves
    room for a model whose state is mostly that.
    """
    return _SPARE + _TIMES * size
