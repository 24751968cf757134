"""Arrays in memory, by the path of the variable that each is meant for: `{"head/kernel": array}`.

No format of files, so it is not asked when a path is opened; everything behind it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kerasguard.elements import Array, dtype_name
from kerasguard.errors import CheckpointError
from kerasguard.formats.variable_paths import table_of
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table, TensorSpec

__all__ = ["Arrays"]


class Arrays(Checkpoint):
    """A `Checkpoint` over arrays that somebody holds.

    Args:
        arrays: by a variable's path, as `variable.path` gives it.

    Raises:
        CheckpointError: something is no array of numbers, or a name is no variable's path.
    """

    name: ClassVar[str] = "arrays"
    traits: ClassVar[Traits] = Traits("variables")

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.path = Path("arrays in memory")
        self._arrays = {name: self._array(name, value) for name, value in arrays.items()}

    def _array(self, name: str, value: Any) -> Array:
        if not isinstance(name, str) or "/" not in name:
            raise CheckpointError(
                self.path, f"{name!r}: expected a variable's path, such as 'head/kernel'"
            )
        array: Array = np.ascontiguousarray(value)
        if array.dtype.kind in "OUSmM":
            raise CheckpointError(
                self.path, f"{name}: expected an array of numbers, found dtype {array.dtype}"
            )
        array = array.reshape(np.shape(value))  # a scalar became one-dimensional
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        return array

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Nothing that has a path."""
        return False

    def files(self) -> Mapping[str, OpenedFile]:
        """None."""
        return {}

    def table(self) -> Table:
        """A record per array; a layer's key is the path of its variables."""
        return table_of(self.specs(), {})

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every array."""
        return {
            name: TensorSpec(array.shape, dtype_name(array.dtype))
            for name, array in self._arrays.items()
        }

    def read(self, key: str) -> Array:
        """The array itself."""
        return self._arrays[key]

    def architecture(self) -> dict[str, Any] | None:
        """None: arrays tell nothing of what computes with them."""
        return None

    def writer(self) -> dict[str, str]:
        """Nothing is known."""
        return {}

    def close(self) -> None:
        """Nothing is open."""
