"""What every way of addressing tensors has in common; see `addressing`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kerasguard.identity.reduced import reduced
from kerasguard.layouts import (
    as_dense,
    changed_defaults,
    likely_writer,
    restore_older_paths,
    without_statistics,
)
from kerasguard.loader import other_keras
from kerasguard.loader.prepared import Prepared
from kerasguard.loader.reading import Reading
from kerasguard.planning.findings import Finding
from kerasguard.planning.left_out import LeftOut
from kerasguard.planning.operations import Op, Step
from kerasguard.tensors import LayerRecord, Table

__all__ = [
    "Addressing",
    "Given",
    "Steps",
    "by_older_walk",
    "has_all",
    "undigested",
    "weights_of",
]

Steps = Sequence[Step | Finding]
Given = Steps | None


@dataclass(frozen=True)
class Addressing:
    """Keys that are variables' paths, which say all that there is to know.

    Args:
        prepared: the model to restore into.
        reading: the checkpoint.
        renames: patterns of stored names to expected ones, as the caller says.
    """

    prepared: Prepared
    reading: Reading
    renames: Mapping[str, str]

    def dense(self, stored: Table, expected: Table) -> tuple[Table, dict[str, tuple[Op, ...]]]:
        """The stored table with layers as today's compute them, and what is done for it first."""
        if self.prepared.built is None:
            return stored, {}
        stored = without_statistics(stored, expected)
        return as_dense(stored, expected, self.reading.in_file(), self._writer)

    def layers(self, stored: Table) -> Mapping[str, LayerRecord]:
        """The stored layers with config digests that can be compared with the model's.

        The digest of a config that had to be migrated says nothing.
        """
        return undigested(stored.layers) if self.prepared.migrated else stored.layers

    def steps(self, stored: Table, expected: Table) -> Given:
        """Steps of an old file, whose tensors' layout or place depends on who wrote it.

        Args:
            stored: without what the companion holds.
            expected: without what Keras does not write.
        """
        return None

    def doubts(self, expected: Table, given: Given, out: LeftOut) -> Iterator[Finding]:
        """What old files leave open of the caller's model, or say of it beside the tensors.

        Nothing is said of what is left out; `given` are the steps for the rest.
        """
        checkpoint = self.reading.checkpoint
        bare = not (checkpoint.traits.config or checkpoint.layer_configs())
        if self.prepared.built is None and bare:
            writer = likely_writer(self.reading.table, self._writer)
            if "keras" in writer:
                table = reduced(expected, out.keys)
                yield from changed_defaults(table, writer, same_keras=self._same_keras)

    @property
    def _same_keras(self) -> bool:
        """Whether a Keras 2 wrote the file and the model is one of tf_keras."""
        old = self._writer.get("keras", "").startswith("2.")
        return old and other_keras.is_other(self._target.model)

    @property
    def _writer(self) -> dict[str, str]:
        return self.reading.writer()

    @property
    def _target(self) -> Any:
        return self.prepared.target


def by_older_walk(
    target: Any, stored: Table, expected: Table, version: str, *, fits: bool
) -> list[Step] | None:
    """Steps by the keys of the walk that the writer's version had; None where they are today's."""
    from kerasguard.models import older_walk

    for habits in older_walk.habits_of(version):
        found = older_walk.older_keys(target.model, target.places, habits, weights_of(stored))
        if fits and all(old == new for old, new in found.items()):
            return None
        if (steps := restore_older_paths(stored, expected, found)) is not None:
            return steps
    return None


def weights_of(table: Table) -> list[str]:
    """Keys of the weights."""
    return [key for key, record in table.tensors.items() if record.role == "weight"]


def has_all(stored: Table, expected: Table) -> bool:
    """Whether every expected weight is stored under its own key."""
    return all(key in stored.tensors for key in weights_of(expected))


def undigested(layers: Mapping[str, LayerRecord]) -> dict[str, LayerRecord]:
    """The layers without digests, which would compare what cannot be compared."""
    return {key: replace(layer, config_digest="") for key, layer in layers.items()}
