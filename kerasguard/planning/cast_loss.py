"""What a cast does to the values at hand, measured on every one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasguard.planning.operations import Cast
from kerasguard.tensors.elements import Array, numpy_dtype

__all__ = ["Loss", "cast_loss"]


@dataclass(frozen=True, slots=True)
class Loss:
    """What a cast does to the values at hand.

    Args:
        error: largest absolute rounding error among the elements that stay finite.
        largest: largest absolute value among them, to judge `error` by.
        overflows: elements that become infinite, or have no place in an integer.
        flushed: nonzero elements that become zero.
    """

    error: float
    largest: float
    overflows: int
    flushed: int

    @property
    def none(self) -> bool:
        """Whether every element survives the cast bit for bit."""
        return self.error == 0 and not self.overflows and not self.flushed


def cast_loss(array: Array, dtype: str) -> Loss:
    """What casting `array` to `dtype` loses, measured on its elements.

    Between integers, and where a number has no place in an integer, an overflow is what does not
    come back as it was; NaN in an integer's place is one too.
    """
    want = numpy_dtype(dtype)
    cast: Any = Cast(dtype).apply(array)
    wide: Any = array.astype(np.float64)
    after: Any = cast.astype(np.float64)
    finite = np.isfinite(wide)
    if _is_whole(want):
        low, high = _range(want)
        overflow = ~finite | (wide < low) | (wide > high)
        if _is_whole(array.dtype):  # float64 cannot tell the largest apart
            with np.errstate(over="ignore"):
                overflow |= (cast.astype(array.dtype) != array) | ((cast < 0) != (wide < 0))
    else:
        overflow = finite & ~np.isfinite(after)
    kept = finite & ~overflow
    error = np.abs(np.subtract(wide, after, where=kept, out=np.zeros(wide.shape)))
    if _is_whole(array.dtype) and not _is_whole(want):
        error = np.maximum(error, _beyond_float64(array, cast))
    return Loss(
        float(error.max(initial=0.0)),
        float(np.abs(wide, where=kept, out=np.zeros(wide.shape)).max(initial=0.0)),
        int(np.count_nonzero(overflow)),
        int(np.count_nonzero(kept & (wide != 0) & (after == 0))),
    )


def _is_whole(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind in "iub" or "int" in dtype.name


def _range(dtype: np.dtype[np.generic]) -> tuple[float, float]:
    """Smallest and largest value of an integer dtype or bool."""
    if dtype.kind == "b":
        return 0.0, 1.0
    bits = int("".join(c for c in dtype.name if c.isdigit()))
    signed = not dtype.name.startswith("u")
    return (-(2.0 ** (bits - 1)) if signed else 0.0), 2.0 ** (bits - signed) - 1


def _beyond_float64(array: Array, cast: Any) -> Any:
    """Rounding of 64-bit integers, which float64 would not show."""
    if array.dtype.itemsize < 8:
        return np.zeros(array.shape)
    back = [int(value) for value in np.asarray(cast, np.float64).reshape(-1)]
    was = [int(value) for value in np.asarray(array).reshape(-1).tolist()]
    return np.array([abs(a - b) for a, b in zip(was, back, strict=True)], np.float64).reshape(
        array.shape
    )
