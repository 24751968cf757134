"""What Keras did not write and a save kept: in the companion, or in the manifest itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kerasguard.errors import CheckpointError, CheckpointNotFoundError
from kerasguard.manifest import Manifest
from kerasguard.storage import companion
from kerasguard.storage.safetensors import Safetensors
from kerasguard.tensors import TensorRecord
from kerasguard.tensors.elements import Array, array_of

__all__ = ["KeptState"]


class KeptState:
    """The kept tensors of one checkpoint; `problems` has a line for what is wrong with the file.

    Where the companion is missing, a rule tells what is missing with it.

    Args:
        path: of the checkpoint.
        manifest: its own; None where nobody recorded it.
    """

    def __init__(self, path: Path, manifest: Manifest | None) -> None:
        self._record = manifest.companion if manifest else None
        self._file: Safetensors | None = None
        self.problems = tuple(self._open(path))

    def _open(self, path: Path) -> Iterator[str]:
        record = self._record
        if record is None:
            return
        try:
            file = Safetensors(companion.located(path, record.name))
        except CheckpointNotFoundError:
            return
        except CheckpointError as error:
            yield str(error)
            return
        if file.file.size == record.size and file.skeleton() == record.skeleton:
            self._file = file
            return
        file.close()
        yield (
            f"{file.path}: is not the companion that was recorded; copy it again, with its "
            'checkpoint, or load without it with manifest="ignore"'
        )

    def holds(self, record: TensorRecord) -> bool:
        """Whether a tensor is where it should be, before anything is read."""
        return record.data is not None or self._file is not None

    def read(self, record: TensorRecord) -> Array | None:
        """One tensor; None where it is not there."""
        if record.data is not None:
            return array_of(record.data, record.spec)
        file = self._file
        if file is None or file.specs().get(record.key) != record.spec:
            return None
        return file.read(record.key)

    def rehash(self) -> Iterator[str]:
        """A line if the companion's SHA-256 is not the recorded one; reads it once more."""
        if self._record and self._file and self._file.file.sha256() != self._record.sha256:
            yield f"{self._record.name}: its SHA-256 differs from the recorded one"

    def close(self) -> None:
        """Close the companion."""
        if self._file is not None:
            self._file.close()
