"""How much a file may unpack to: memory grows with its size, whatever it claims."""

from __future__ import annotations

__all__ = ["unpacked_limit"]

_SPARE, _TIMES = 64 << 20, 16


def unpacked_limit(size: int) -> int:
    """Bytes that a file of `size` bytes may become in memory.

    Weights hardly compress; zeros do, and slots of an optimizer may be zeros. Sixteen times leaves
    room for a model whose state is mostly that.
    """
    return _SPARE + _TIMES * size
