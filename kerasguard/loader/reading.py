"""One read of a checkpoint: what is hashed is what is loaded, and nothing is read twice.

Where the manifest's skeleton digests show that every byte outside the tensors is as recorded, the
recorded offsets are right and no container needs parsing; tensors are read and digested in threads
meanwhile. Where they do not, or nobody recorded the checkpoint, the format's own reader is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats import open_checkpoint
from kerasguard.loader.given_config import GivenConfig
from kerasguard.loader.kept_state import KeptState
from kerasguard.loader.recorded import enriched, manifest_of, problems_of
from kerasguard.loader.shards import Joined, in_parts, joined
from kerasguard.manifest import Manifest
from kerasguard.planning.cast_loss import Loss, cast_loss
from kerasguard.planning.deferred import Deferred
from kerasguard.planning.operations import Step
from kerasguard.storage.arena import Arena, Memory
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.file_survey import sha256_differences
from kerasguard.storage.pair import undisturbed
from kerasguard.storage.sidecar import ManifestPolicy
from kerasguard.tensors import Table, TensorRecord
from kerasguard.tensors.elements import Array, count_nonfinite, digest

__all__ = ["Reading"]


class Reading:
    """A checkpoint being read; a context manager that closes its files.

    Args:
        source: the checkpoint's path, or a checkpoint that is open.
        manifest: `auto` uses the sidecar if there is one, `require` insists, `ignore` reads the
            checkpoint as if nobody had recorded it; or a manifest found elsewhere.
        keep: whether to keep every tensor in memory; else they are digested piece by piece, and
            one that is asked for is read again and has to have the same digest.
        at_once: whether to read and digest every tensor; else only `read_again` reads any.
        memory: as for an `Arena`.
    """

    def __init__(
        self,
        source: Path | Checkpoint,
        manifest: ManifestPolicy | Manifest = "auto",
        *,
        keep: bool = True,
        at_once: bool = True,
        memory: Memory | None = None,
    ) -> None:
        self._keep, self._memory = keep, memory
        self._values: dict[str, Array] = {}
        self._finished = False
        self.config: GivenConfig | None = None  # what a caller gave in the place of a stored one
        self.path = source if isinstance(source, Path) else source.path
        with undisturbed(self.path):
            self.manifest = manifest_of(self.path, manifest)
            self.checkpoint = open_checkpoint(source) if isinstance(source, Path) else source
            try:
                self._state = KeptState(self.path, self.manifest)
            except BaseException:
                self.checkpoint.close()
                raise
        try:
            self.problems = (*problems_of(self.checkpoint, self.manifest), *self._state.problems)
            self.recorded_as = self.manifest
            if self.manifest is not None and in_parts(self.manifest):
                cut = self.manifest.table
                self.checkpoint = cast("Checkpoint", Joined(self.checkpoint, cut))
                self.manifest = replace(self.manifest, table=joined(cut))
            self.table = self._table()
            if at_once:
                self._start()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self.checkpoint.close()
        self._state.close()

    @property
    def traits(self) -> Traits:
        """What the checkpoint's format says of itself."""
        return self.checkpoint.traits

    @property
    def recorded(self) -> bool:
        """Whether a manifest vouches for what is read."""
        return self.manifest is not None

    @property
    def foreign(self) -> Sequence[str]:
        """Paths of datasets that are not Keras'; what is as recorded is not parsed for them."""
        return () if self.recorded and not self.problems else self.checkpoint.foreign()

    @property
    def whole_table(self) -> Table:
        """The table with what the companion holds, before anything is read."""
        known = self.manifest.kept if self.manifest else {}
        kept = {key: record for key, record in known.items() if self._state.holds(record)}
        return replace(self.table, tensors={**self.table.tensors, **kept})

    @property
    def unread(self) -> bool:
        """Whether no tensor is read, since files that hold pieces of all are not as recorded."""
        return self.recorded and bool(self.problems) and self.traits.scattered

    def _table(self) -> Table:
        if self.manifest is not None and (not self.problems or self.traits.scattered):
            return self.manifest.table
        stored = self.checkpoint.table()
        if self.manifest is None:
            return stored
        known = self.manifest.table
        tensors = {
            key: enriched(record, known.tensors.get(key)) for key, record in stored.tensors.items()
        }
        layers = {**stored.layers, **known.layers}
        return replace(known, tensors=tensors, layers=layers, addressing=stored.addressing)

    def _start(self) -> None:
        placed = [r for r in self.table.tensors.values() if r.extent is not None]
        self._arena = self._filled(placed, count_nonfinite=self.manifest is None, keep=self._keep)
        self._arena.start()

    def _filled(self, records: list[TensorRecord], **more: bool) -> Arena:
        return Arena(self.checkpoint.files(), records, memory=self._memory, **more)

    def finish(self) -> Table:
        """Wait for the last byte, once; the table with digests of what was read."""
        if self._finished:
            return self.table
        self._finished = True
        if self.unread:
            tensors = {**self.table.tensors, **dict(self._kept())}
            self.table = replace(self.table, tensors=tensors)
            return self.table
        loads = self._arena.wait()
        seen: dict[str, TensorRecord] = {}
        for key, record in self.table.tensors.items():
            if key not in loads:
                seen[key] = self._surveyed(record, self.checkpoint.read(record.own_key))
                continue
            found = loads[key]
            if found.array is not None:
                self._values[key] = found.array
            count = found.nonfinite
            if count is None:  # equal bytes have equal counts; only damage makes it unknown
                count = record.nonfinite if found.digest == record.digest else None
            if (record.digest, record.nonfinite) != (found.digest, count):
                record = replace(record, digest=found.digest, nonfinite=count)
            seen[key] = record
        seen.update(self._kept())
        self.table = replace(self.table, tensors=seen)
        return self.table

    def call(self, table: Table) -> None:
        """Have the tensors under the keys of another table, whose `stored_as` tells these keys."""
        if self._values:
            records = table.tensors.values()
            self._values = {r.key: self._values[r.own_key] for r in records}
        self.table = table

    def _surveyed(self, record: TensorRecord, array: Array) -> TensorRecord:
        if self._keep:
            self._values[record.key] = array
        return replace(record, digest=digest(array), nonfinite=count_nonfinite(array))

    def _kept(self) -> Iterator[tuple[str, TensorRecord]]:
        """What companion and manifest hold, with the digests of what was read."""
        for key, record in (self.manifest.kept if self.manifest else {}).items():
            if (array := self._state.read(record)) is not None:
                yield key, self._surveyed(record, array)

    def value(self, key: str) -> Array:
        """A tensor's elements, once everything is read; one that was not kept is read again.

        Raises:
            CorruptCheckpointError: it is no longer what it was the first time.
        """
        if key in self._values:
            return self._values[key]
        record = self.table.tensors[key]
        array, found = self.read_again(record)
        if found != record.digest:
            raise CorruptCheckpointError(
                self.path,
                f"{record.label} changed while the checkpoint was being read; load it again once "
                "nothing writes to it",
            )
        return array

    def read_again(self, record: TensorRecord) -> tuple[Array, str]:
        """A tensor's elements and their digest, as they are in the file now."""
        if self.manifest is not None and record.key in self.manifest.kept:
            array = self._state.read(self.manifest.kept[record.key])
            if array is None:
                raise CorruptCheckpointError(self.path, f"{record.label}: its companion is missing")
        elif record.extent is None:
            array = self.checkpoint.read(record.own_key)
        else:
            load = self._filled([record], count_nonfinite=False).read()[record.key]
            assert load.array is not None, "this arena keeps what it reads"
            return load.array, load.digest
        return array, digest(array)

    def kept_values(self) -> dict[str, Array]:
        """The arrays of the companion by key, once everything is read."""
        known = self.manifest.kept if self.manifest else {}
        return {key: self.value(key) for key in known if key in self.table.tensors}

    def assets(self) -> dict[str, bytes]:
        """Files of layers by their path, those that a companion keeps included."""
        found = dict(self.checkpoint.assets())
        for key, record in self.table.tensors.items():
            if record.role == "asset":
                found[key.removeprefix("assets/")] = self.value(key).tobytes()
        return found

    def rehash(self) -> Iterator[str]:
        """Files whose SHA-256 is not the recorded one; reads them once more."""
        if self.manifest is not None:
            yield from sha256_differences(self.checkpoint.files(), self.manifest)
        yield from self._state.rehash()

    def values(self, steps: tuple[Step, ...]) -> Mapping[str, Array]:
        """The arrays that the steps make, by target; where nothing is kept, only when asked for."""
        if not self._keep:
            return Deferred(steps, self.table.tensors, self.value)
        return {s.target: s.apply([self.value(k) for k in s.sources]) for s in steps}

    def loss(self, step: Step, dtype: str) -> Loss:
        """What casting the step's result to `dtype` would lose."""
        return cast_loss(step.apply([self.value(k) for k in step.sources]), dtype)

    def architecture(self) -> Mapping[str, Any] | None:
        """The stored Keras config, else the one in the manifest (weights-only formats)."""
        stored = self.in_file()
        if stored is not None:
            return stored
        return self.manifest.architecture if self.manifest else None

    def in_file(self) -> Mapping[str, Any] | None:
        """The config in the files, or what a caller gave in its place."""
        return self.config.architecture if self.config else self.checkpoint.architecture()

    def config_writer(self) -> dict[str, str]:
        """Versions of what wrote the architecture, and its form; in a manifest it is Keras 3's."""
        if self.config:
            return {**self.writer(), **self.config.versions, "config": self.config.form}
        theirs = self.checkpoint.architecture() is not None
        return {**self.writer(), "config": self.traits.config if theirs else "keras3"}

    @cached_property
    def _told(self) -> dict[str, str]:
        """What the open files say of their writer, who is asked for again and again."""
        return self.checkpoint.writer()

    def writer(self) -> dict[str, str]:
        """Versions of what wrote the checkpoint; the manifest knows more than the file."""
        return {
            "format": self.checkpoint.name,
            **(self.config.writer(self._told) if self.config else self._told),
            **(self.manifest.versions if self.manifest else {}),
        }
