"""What the values of a tensor look like: a few numbers and a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kerasguard.tensors.elements import Array

__all__ = ["Statistics", "pooled", "statistics_of"]

BINS = 24
# Values are looked at in pieces of so many, as float64: no second tensor is held.
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the finite elements of one tensor, but for the counts.

    Args:
        count: of all elements.
        mean: None where no element is finite; so `std`, `low` and `high`.
        std: of the population.
        low: the smallest.
        high: the greatest.
        zeros: number of elements that are zero.
        nan: number of NaN.
        infinite: number of infinite elements.
        histogram: how many lie in each of 24 equal parts between `low` and `high`.
    """

    count: int
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    zeros: int
    nan: int
    infinite: int
    histogram: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**asdict(self), "histogram": list(self.histogram)}


def statistics_of(array: Array) -> Statistics | None:
    """Statistics of an array of numbers; None for strings and bytes.

    Args:
        array: any shape; `bfloat16` and the 8-bit floats included.
    """
    flat = np.asarray(array).reshape(-1)
    if flat.dtype.kind in "OSU" or (flat.dtype.kind == "V" and flat.dtype.names is not None):
        return None
    if flat.dtype.kind == "c":
        flat = np.abs(flat)
    pieces = [flat[start : start + _PIECE] for start in range(0, flat.size, _PIECE)]
    nan = infinite = zeros = finite = 0
    total, low, high = 0.0, np.inf, -np.inf
    for piece in pieces:
        values = piece.astype(np.float64)
        nan += int(np.isnan(values).sum())
        infinite += int(np.isinf(values).sum())
        zeros += int((values == 0).sum())
        values = values[np.isfinite(values)]
        if values.size:
            finite += values.size
            total += float(values.sum())
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not finite:
        return Statistics(flat.size, None, None, None, None, zeros, nan, infinite)
    mean = total / finite
    deviation, histogram = _spread(pieces, mean, low, high)
    std = (deviation / finite) ** 0.5
    return Statistics(flat.size, mean, std, low, high, zeros, nan, infinite, histogram)


def _spread(
    pieces: list[Array], mean: float, low: float, high: float
) -> tuple[float, tuple[int, ...]]:
    """Sum of squared deviations, and the histogram."""
    deviation, histogram = 0.0, np.zeros(BINS, np.int64)
    width = (high - low) / BINS
    for piece in pieces:
        values = piece.astype(np.float64)
        values = values[np.isfinite(values)]
        deviation += float(((values - mean) ** 2).sum())
        if width > 0:
            bins = np.minimum(((values - low) / width).astype(np.int64), BINS - 1)
            histogram += np.bincount(bins, minlength=BINS)
        else:
            histogram[BINS // 2] += values.size
    return deviation, tuple(int(n) for n in histogram)


def pooled(parts: Sequence[Statistics]) -> Statistics:
    """Statistics of several tensors as of one; the histogram to the width of a bar.

    Args:
        parts: at least one.
    """
    sums = [sum(getattr(s, name) for s in parts) for name in ("count", "zeros", "nan", "infinite")]
    count, zeros, nan, infinite = sums
    finite = [(s, s.count - s.nan - s.infinite) for s in parts if s.mean is not None]
    if not finite:
        return Statistics(count, None, None, None, None, zeros, nan, infinite)
    number = sum(n for _, n in finite)
    mean = sum(n * (s.mean or 0.0) for s, n in finite) / number
    square = sum(n * ((s.std or 0.0) ** 2 + ((s.mean or 0.0) - mean) ** 2) for s, n in finite)
    low, high = min(s.low or 0.0 for s, _ in finite), max(s.high or 0.0 for s, _ in finite)
    histogram = sum((_moved(s, low, high) for s, _ in finite), np.zeros(BINS, np.int64))
    std = (square / number) ** 0.5
    return Statistics(count, mean, std, low, high, zeros, nan, infinite, tuple(map(int, histogram)))


def _moved(one: Statistics, low: float, high: float) -> Array:
    """A histogram over another range: each bar goes where its middle lies."""
    start, end = one.low or 0.0, one.high or 0.0
    centres = start + (end - start) * (np.arange(BINS) + 0.5) / BINS
    places = (centres - low) / (high - low) * BINS if high > low else np.full(BINS, BINS // 2)
    bars = np.minimum(places.astype(np.int64), BINS - 1)
    return np.bincount(bars, np.array(one.histogram), BINS).astype(np.int64)
