"""Stand-ins for what is slow or far away; each keeps the contract of what it stands for."""

from __future__ import annotations

from collections.abc import Mapping

from kerasguard.planning.operations import spec_of
from kerasguard.tensors import TensorSpec
from kerasguard.tensors.elements import Array

__all__ = ["DictSource"]


class DictSource:
    """A `TensorSource` over arrays in memory that remembers which keys were read.

    Args:
        arrays: the tensors by key, in the source's own order.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = dict(arrays)
        self.reads: list[str] = []

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every tensor; reads nothing."""
        return {key: spec_of(array) for key, array in self.arrays.items()}

    def read(self, key: str) -> Array:
        """The array itself; noted in `reads`."""
        self.reads.append(key)
        return self.arrays[key]
