"""Kernels of locally connected layers, which an EinsumDense computes today.

The EinsumDense has, for every place, a matrix from the numbers in a patch to the filters:
(places..., patch, filters). Keras 2 kept the same numbers in three ways, by `implementation`:

1. (all places, patch, filters);
2. from every input to every output: (sizes..., channels, places..., filters), of which only the
   connected pairs count; with channels first, channels and filters stand in front;
3. only the connected pairs, in one row, sorted by output, then by input.

Biases of Keras 2 were (places..., filters), whatever the channels' axis, but with channels first
they were read as (filters, places...) when they were added; Keras 1 kept them so.

Under `padding="same"` a patch may reach over the edge. What stands there in the EinsumDense is
multiplied by zeros, so any number will do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasguard.planning.operations import Op, Pick, Reshape, Transpose
from kerasguard.tensors import TensorSpec

__all__ = ["CLASSES", "local_bias", "local_kernel"]

CLASSES = ("LocallyConnected1D", "LocallyConnected2D")

Sizes = tuple[int, ...]
# The input's place and channel, the output's place and filter.
_Pair = tuple[Sizes, int, Sizes, int]


def local_kernel(
    stored: TensorSpec, expected: TensorSpec, config: Mapping[str, Any]
) -> tuple[Op, ...] | None:
    """Operations from a stored kernel to that of the EinsumDense; None where it does not fit.

    Args:
        stored: of the file.
        expected: (places..., patch, filters).
        config: of the layer as the file has it.
    """
    if config.get("implementation", 1) == 1:
        return (Reshape(expected.shape),) if stored.size == expected.size else None
    patches = _Patches.of(expected.shape, config)
    indices = patches.in_full(stored) if len(stored.shape) > 1 else patches.in_row(stored)
    if indices is None:
        return None
    return Reshape((stored.size,)), Pick(0, indices), Reshape(expected.shape)


def local_bias(expected: TensorSpec, config: Mapping[str, Any]) -> tuple[Op, ...]:
    """Operations from a stored bias to that of the EinsumDense, (places..., filters)."""
    if not _is_first(config):
        return ()
    *places, filters = expected.shape
    return Reshape((filters, *places)), Transpose((*range(1, len(expected.shape)), 0))


def _is_first(config: Mapping[str, Any]) -> bool:
    """Whether the writer had channels first, in Keras 2's words or in Keras 1's."""
    return config.get("data_format") == "channels_first" or config.get("dim_ordering") == "th"


@dataclass(frozen=True, slots=True)
class _Patches:
    """Which inputs each output is connected to.

    Args:
        places: the output's sizes.
        kernel: the patch's.
        strides: between patches.
        channels: of the input.
        filters: of the output.
        same: whether patches are centred on their places and reach over the edge.
        first: whether the writer had channels first.
    """

    places: Sizes
    kernel: Sizes
    strides: Sizes
    channels: int
    filters: int
    same: bool
    first: bool

    @staticmethod
    def of(shape: Sizes, config: Mapping[str, Any]) -> _Patches:
        """From the EinsumDense's kernel and the stored config."""
        *places, patch, filters = shape
        kernel = _sizes(config["kernel_size"], len(places))
        area = 1
        for size in kernel:
            area *= size
        return _Patches(
            tuple(places),
            kernel,
            _sizes(config.get("strides", 1), len(places)),
            patch // area,
            filters,
            config.get("padding", "valid") == "same",
            _is_first(config),
        )

    def pairs(self) -> Iterator[_Pair]:
        """Every pair, in the order of the EinsumDense's kernel; some lie outside the input."""
        kernel = [range(size) for size in self.kernel]
        channels = range(self.channels)
        order: Iterator[tuple[Sizes, int]]
        for place in itertools.product(*map(range, self.places)):
            if self.first:
                order = ((o, c) for c in channels for o in itertools.product(*kernel))
            else:
                order = ((o, c) for o in itertools.product(*kernel) for c in channels)
            for offset, channel in order:
                where = tuple(map(self._at, place, self.strides, offset, self.kernel))
                for output in range(self.filters):
                    yield where, channel, place, output

    def _at(self, place: int, stride: int, offset: int, size: int) -> int:
        return place * stride + offset - (size // 2 if self.same else 0)

    def in_full(self, stored: TensorSpec) -> Sizes | None:
        """Where each number lies among those of all pairs; None if `stored` is not that."""
        rank, first = len(self.places), int(self.first)
        sizes = stored.shape[first : first + rank]
        whole = (*self._joined(sizes, self.channels), *self._joined(self.places, self.filters))
        if stored.shape != whole:
            return None
        return tuple(
            _raveled((*self._joined(where, channel), *self._joined(place, output)), whole)
            if _inside(where, sizes)
            else 0
            for where, channel, place, output in self.pairs()
        )

    def in_row(self, stored: TensorSpec) -> Sizes | None:
        """Where each number lies in the row of connected pairs; None unless one reading fits."""
        pairs = list(self.pairs())
        found = set()
        for sizes in itertools.product(*map(self._inputs, self.places, self.strides, self.kernel)):
            connected = [pair for pair in pairs if _inside(pair[0], sizes)]
            if len(connected) == stored.size:
                rank = {pair: n for n, pair in enumerate(sorted(connected, key=self._rank()))}
                found.add(tuple(rank.get(pair, 0) for pair in pairs))
        return found.pop() if len(found) == 1 else None

    def _inputs(self, places: int, stride: int, size: int) -> range:
        """The sizes that an input with so many places along an axis can have."""
        reach = 0 if self.same else size - stride
        return range((places - 1) * stride + 1 + reach, places * stride + 1 + reach)

    def _rank(self) -> Callable[[_Pair], tuple[Sizes, Sizes]]:
        def rank(pair: _Pair) -> tuple[Sizes, Sizes]:
            where, channel, place, output = pair
            return self._joined(place, output), self._joined(where, channel)

        return rank

    def _joined(self, place: Sizes, channel: int) -> Sizes:
        return (channel, *place) if self.first else (*place, channel)


def _inside(where: Sizes, sizes: Sequence[int]) -> bool:
    return all(0 <= place < size for place, size in zip(where, sizes, strict=True))


def _raveled(index: Sizes, shape: Sizes) -> int:
    """The place of an element in C order."""
    flat = 0
    for place, size in zip(index, shape, strict=True):
        flat = flat * size + place
    return flat


def _sizes(value: Any, count: int) -> Sizes:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,) * count
