"""`.weights.h5`: the weights alone, in one HDF5 file, as `save_weights` of Keras 2.12 on writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from kerasguard.formats.hdf5.file import START as HDF5
from kerasguard.formats.hdf5.file import is_hdf5, root_attributes
from kerasguard.formats.keras_weights import KerasWeights, WeightsFile
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["WeightsH5"]

# What Keras 1 and 2 put at the root; files that have one are in the older format.
_LEGACY = {"layer_names", "layer_names0", "nb_layers", "model_config", "model_weights"}


class WeightsH5(Checkpoint):
    """An HDF5 file in Keras 3's layout.

    Args:
        path: the file, whatever its name.

    Raises:
        CheckpointError: it cannot be opened.
    """

    name: ClassVar[str] = "weights_h5"
    traits: ClassVar[Traits] = Traits("walk", suffixes=(".weights.h5",), starts=HDF5)

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = OpenedFile(self.path)
        self._weights = KerasWeights(self.path, [WeightsFile(self.path.name, self._file)])

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is HDF5 without the marks of an older Keras; damaged HDF5 is taken for it."""
        return is_hdf5(path) and not root_attributes(path) & _LEGACY

    def files(self) -> Mapping[str, OpenedFile]:
        """The one file."""
        return {self.path.name: self._file}

    def table(self) -> Table:
        """All tensors and layers; names of layers from Keras 3.6 on."""
        return self._weights.table

    def read(self, key: str) -> Array:
        """One tensor."""
        return self._weights.read(key)

    def architecture(self) -> dict[str, Any] | None:
        """None: the format holds weights only."""
        return None

    def writer(self) -> dict[str, str]:
        """Keras writes no version into these files; what other writers put at the root."""
        return self._weights.versions()

    def foreign(self) -> Sequence[str]:
        """Datasets in the weights that are not Keras'."""
        return self._weights.foreign()

    def close(self) -> None:
        """Close the file."""
        self._weights.close()
        self._file.close()
