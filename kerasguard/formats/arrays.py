"""Arrays that somebody holds or computes, in the place of a checkpoint's file.

No formats of files, so they are not asked when a path is opened; everything behind is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kerasguard.errors import CheckpointError
from kerasguard.formats.variable_paths import table_of
from kerasguard.storage.checkpoint import Checkpoint, Keys, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table, TensorSpec
from kerasguard.tensors.elements import Array, dtype_name

__all__ = ["GivenArrays", "MadeArrays"]


class GivenArrays(Checkpoint):
    """A `Checkpoint` over arrays by the path of their variable: `{"head/kernel": array}`.

    Args:
        arrays: by a variable's path, as `variable.path` gives it.

    Raises:
        CheckpointError: something is not an array of numbers, or a name is not a variable's path.
    """

    name: ClassVar[str] = "arrays"
    traits: ClassVar[Traits] = Traits("variables")

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.path = Path("arrays in memory")
        self._arrays = {name: self._array(name, value) for name, value in arrays.items()}

    def _array(self, name: str, value: Any) -> Array:
        if not isinstance(name, str) or not {"/", "."} & set(name):
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


class MadeArrays(Checkpoint):
    """A `Checkpoint` with all that another one tells, and other values.

    Args:
        origin: the other one; it has to stay open.
        table: the tensors that there are now.
        make: gives one by its key.
        architecture: the stored config, wherever it was found.
        writer: versions of what wrote the other one.
        keys: what the keys are, if not what they are in the other one.
    """

    name: ClassVar[str] = "arrays"

    def __init__(
        self,
        origin: Checkpoint,
        table: Table,
        make: Callable[[str], Array],
        architecture: Mapping[str, Any] | None,
        writer: Mapping[str, str],
        *,
        keys: Keys | None = None,
    ) -> None:
        self.path, self._origin, self._make = origin.path, origin, make
        self._architecture, self._writer = architecture, dict(writer)
        beside = architecture is not None and not origin.traits.config  # in a manifest
        config = "keras3" if beside else origin.traits.config
        self.traits = replace(origin.traits, config=config, keys=keys or origin.traits.keys)
        plain = (
            replace(r, extent=None, digest=None, nonfinite=None) for r in table.tensors.values()
        )
        self._table = replace(table, tensors={record.key: record for record in plain})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Nothing that has a path."""
        return False

    def files(self) -> Mapping[str, OpenedFile]:
        """None: no file has these values."""
        return {}

    def table(self) -> Table:
        """The other one's records and layers, without digests."""
        return self._table

    def read(self, key: str) -> Array:
        """One tensor."""
        return self._make(key)

    def architecture(self) -> dict[str, Any] | None:
        """As the other one has it."""
        return None if self._architecture is None else dict(self._architecture)

    def layer_configs(self) -> dict[str, dict[str, Any]]:
        """As the other one has them."""
        return self._origin.layer_configs()

    def writer(self) -> dict[str, str]:
        """Of the other one."""
        return dict(self._writer)

    def assets(self) -> Mapping[str, bytes]:
        """As the other one has them."""
        return self._origin.assets()

    def close(self) -> None:
        """Nothing: whoever opened the other one closes it."""
