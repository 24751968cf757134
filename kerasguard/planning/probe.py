"""A probe: inputs that anybody can make again, and how to compare what a model makes of them.

Inputs are drawn from a counter, not from a library's random numbers, whose streams may change.
Outputs are compared by their largest difference in relation to their largest value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasguard.tensors.elements import Array, numpy_dtype

__all__ = ["Difference", "compared", "drawn", "sampled", "summary", "tolerance"]

_SAMPLE = 1 << 16
_TOLERANCE = {"float64": 1e-8, "float32": 1e-4, "float16": 2e-2, "bfloat16": 6e-2}
_COARSEST = 0.2
_OTHER_DEVICE = 20.0  # GPUs multiply float32 with ten bits of mantissa where they may


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two tensors are apart.

    Args:
        error: largest absolute difference; infinite where only one of them is finite, or where
            they are not numbers of one shape.
        largest: largest absolute value of the recorded one.
    """

    error: float
    largest: float

    @property
    def relative(self) -> float:
        """`error` in relation to `largest`."""
        return self.error / max(self.largest, 1e-12) if self.error else 0.0


def drawn(told: Mapping[str, Any], seed: int) -> Array:
    """The input that a manifest describes.

    Args:
        told: `shape` and `dtype`, and either `low` and `high` (exclusive; `whole` for whole
            numbers), or `words` to choose from.
        seed: of this input; other seeds give other values.

    Returns:
        An array of that shape and dtype; of objects where there are words.
    """
    shape = tuple(told["shape"])
    count = int(np.prod(shape, dtype=np.int64))
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 32)
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float64) / float(1 << 24)
    if "words" in told:
        words = np.array(told["words"], dtype=object)
        chosen: Array = words[(unit * len(words)).astype(np.int64)].reshape(shape)
        return chosen
    values = told["low"] + unit * (told["high"] - told["low"])
    if told.get("whole"):
        values = np.floor(values)
    made: Array = values.astype(numpy_dtype(told["dtype"])).reshape(shape)
    return made


def sampled(output: Array) -> Array:
    """Of an output with more than 65,536 elements, that many at most, evenly spread."""
    flat = output.reshape(-1)
    step = -(-flat.size // _SAMPLE)
    return np.ascontiguousarray(flat[::step]) if step > 1 else output


def summary(output: Array) -> list[float]:
    """Mean, root mean square, largest absolute value, and two sums with changing signs.

    The sums tell permutations apart that leave the rest as it is.
    """
    values = np.asarray(output, np.float64).reshape(-1)
    if not values.size:
        return [0.0] * 5
    told = {"shape": (values.size,), "dtype": "float64", "low": -1.0, "high": 1.0}
    signs = [np.asarray(drawn(told, seed), np.float64) for seed in (1, 2)]
    sums = [float(np.sum(values * sign)) / values.size**0.5 for sign in signs]
    size = float(np.sqrt(np.mean(values * values)))
    return [float(values.mean()), size, float(np.abs(values).max()), *sums]


def compared(recorded: Array, now: Array) -> Difference:
    """The difference of two outputs; NaN is equal to NaN."""
    if recorded.shape != now.shape:
        return Difference(float("inf"), 0.0)
    if recorded.dtype.kind in "OSU":
        return Difference(0.0 if np.array_equal(recorded, now) else float("inf"), 0.0)
    a, b = np.asarray(recorded, np.float64), np.asarray(now, np.float64)
    finite = np.isfinite(a)
    largest = float(np.abs(a, where=finite, out=np.zeros(a.shape)).max(initial=0.0))
    if not np.array_equal(finite, np.isfinite(b)) or not np.array_equal(np.isnan(a), np.isnan(b)):
        return Difference(float("inf"), largest)
    apart = np.zeros(a.shape)
    np.subtract(a, b, where=finite, out=apart)
    signs = np.array_equal(a[~finite & ~np.isnan(a)], b[~finite & ~np.isnan(a)])
    return Difference(float(np.abs(apart).max(initial=0.0)) if signs else float("inf"), largest)


def tolerance(dtypes: Sequence[str], *, same_device: bool, quantised: bool = False) -> float:
    """The largest relative difference that rounding may explain.

    Args:
        dtypes: that the model computes in, when it was saved and now; the coarsest counts.
        same_device: whether both computed on the same kind of device.
        quantised: whether weights are integers, where rounding may fall to either side.
    """
    found = max((_TOLERANCE.get(name, _COARSEST) for name in dtypes), default=1e-4)
    found = max(found, 2e-2) if quantised else found
    return found if same_device else min(found * _OTHER_DEVICE, max(found, 1e-1))
