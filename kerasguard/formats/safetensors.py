"""`.safetensors`: weights by the path of their variable, in one file of any framework."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kerasguard.formats.variable_paths import table_of
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile, first_bytes
from kerasguard.storage.safetensors import Safetensors
from kerasguard.tensors import Table, TensorSpec
from kerasguard.tensors.elements import Array

__all__ = ["SafetensorsWeights"]


class SafetensorsWeights(Checkpoint):
    """A safetensors file whose tensors are called as the model's variables are.

    Args:
        path: the file, whatever its name.

    Raises:
        CheckpointError: it cannot be opened or is damaged.
    """

    name: ClassVar[str] = "safetensors"
    traits: ClassVar[Traits] = Traits("variables", suffixes=(".safetensors",), starts=rb".{8}\{")

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._stored = Safetensors(self.path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a length and the start of a JSON object come first."""
        start = first_bytes(path, 10)
        return start[8:] in (b'{"', b"{}") and start[7:8] == b"\0"

    def files(self) -> Mapping[str, OpenedFile]:
        """The one file."""
        return {self.path.name: self._stored.file}

    def table(self) -> Table:
        """All tensors; layers from their names."""
        return table_of(self._stored.specs(), self._stored.extents())

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every tensor."""
        return self._stored.specs()

    def read(self, key: str) -> Array:
        """One tensor."""
        return self._stored.read(key)

    def architecture(self) -> dict[str, Any] | None:
        """None: the format holds weights only."""
        return None

    def writer(self) -> dict[str, str]:
        """Any framework may have written it."""
        return {}

    def close(self) -> None:
        """Close the file."""
        self._stored.close()
