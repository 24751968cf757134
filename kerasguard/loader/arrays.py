"""The tensors of a checkpoint as a mapping of arrays, each verified when it is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasguard.errors import CheckpointError, CorruptCheckpointError
from kerasguard.formats.arrays import MadeArrays
from kerasguard.layouts import as_modules
from kerasguard.loader.reading import Reading
from kerasguard.manifest import Manifest
from kerasguard.storage.checkpoint import Checkpoint, Keys
from kerasguard.tensors import Table, TensorRecord, TensorSpec
from kerasguard.tensors.elements import Array

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Arrays"]


class Arrays(Mapping[str, Array]):
    """Arrays by the path of their variable, as `kerasguard.read` gives them.

    Nothing is cached: each access reads the tensor, verifies it against the manifest, and returns a
    new array. `kerasguard.load` takes the whole. The files stay open until `close`, the end of a
    `with` block, or the last reference.

    Args:
        reading: the open checkpoint.
        records: what there is, by name.
        stack: closes what was opened.
        make: gives the array of a record; by default it is read from the file.
        keys: what the names are, if not what the format says (`Traits.keys`).
    """

    def __init__(
        self,
        reading: Reading,
        records: Mapping[str, TensorRecord],
        stack: contextlib.ExitStack,
        make: Callable[[TensorRecord], Array] | None = None,
        *,
        keys: Keys | None = None,
    ) -> None:
        self._reading, self._records, self._stack, self._make = reading, records, stack, make
        self._keys, self._open = keys, True

    @property
    def path(self) -> Path:
        """The checkpoint, or the first of those that these arrays were computed from."""
        return self._reading.path

    @property
    def format(self) -> str:
        """Of the checkpoint, `keras_zip`."""
        return self._reading.checkpoint.name

    @property
    def layout(self) -> str:
        """The layout that the caller of `read` gave: `torch`, or empty for Keras."""
        return "torch" if self._keys == "modules" else ""

    @property
    def made_up(self) -> bool:
        """Whether these differ from the file's tensors: averaged, or renamed."""
        return self._make is not None or self._keys is not None

    @property
    def manifest(self) -> Manifest | None:
        """The manifest that the arrays are verified against; None if there is none."""
        return None if self._make else self._reading.manifest

    @property
    def records(self) -> Mapping[str, TensorRecord]:
        """What is known of each tensor, by name."""
        return self._records

    @property
    def architecture(self) -> Mapping[str, Any] | None:
        """The stored Keras config, of the checkpoint or its manifest; not migrated."""
        return self._reading.architecture()

    @property
    def table(self) -> Table:
        """What the checkpoint says of its layers, and the tensors in this mapping."""
        kept = {record.key: record for record in self._records.values()}
        table = self._reading.table
        if self._keys == "modules":
            return as_modules(Table(kept))
        return Table(kept, table.layers, table.addressing, table.ends, table.use)

    def specs(self) -> dict[str, TensorSpec]:
        """Shape and dtype by name; reads nothing."""
        return {name: record.spec for name, record in self._records.items()}

    def made(
        self,
        records: Mapping[str, TensorRecord],
        make: Callable[[TensorRecord], Array],
        stack: contextlib.ExitStack,
    ) -> Arrays:
        """Arrays of the same origin with other values.

        Args:
            records: what there is, by name.
            make: gives the array of a record, of its spec.
            stack: closes what was opened for it.
        """
        return Arrays(self._reading, records, stack, make, keys=self._keys)

    def checkpoint(self) -> Path | Checkpoint:
        """What a load opens: the file, or the arrays that were computed from it."""
        reading, make = self._reading, self._make or self._verified
        if not self.made_up:
            return reading.checkpoint if not reading.checkpoint.files() else self.path
        by_key = {record.key: record for record in self._records.values()}
        return MadeArrays(
            reading.checkpoint,
            self.table,
            lambda key: make(by_key[key]),
            reading.architecture(),
            reading.config_writer(),
            keys=self._keys,
        )

    def __getitem__(self, name: str) -> Array:
        record = self._records[name]
        if not self._open:
            raise CheckpointError(
                self.path, "is closed; read it again, or take arrays before closing it"
            )
        return self._verified(record) if self._make is None else self._make(record)

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __repr__(self) -> str:
        size = sum(record.spec.nbytes for record in self._records.values())
        state = "made" if self._make else "recorded" if self.manifest else "unrecorded"
        return f"<Arrays of {self.path}: {len(self)} tensors, {size} bytes, {state}>"

    def _verified(self, record: TensorRecord) -> Array:
        array, found = self._reading.read_again(record)
        if record.digest is not None and found != record.digest:
            raise CorruptCheckpointError(
                self.path,
                f"{record.label}: its bytes are not those that were recorded; the file changed "
                'since: restore it from a copy, or read it unverified with manifest="ignore"',
            )
        return array

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        self._open = False
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_stack"):  # else it was never made: its arguments were others
            self.close()
