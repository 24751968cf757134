"""Tensors that a file holds in parts, read as what they are parts of.

The manifest of a model on parameter servers tells which stored tensors are parts of one, since
tf_keras numbers them like any other. Joined they go into every model, cut otherwise or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasguard.manifest import Manifest
from kerasguard.tensors import Table, TensorRecord, TensorSpec
from kerasguard.tensors.elements import Array

__all__ = ["Joined", "in_parts", "joined"]


class Joined:
    """A checkpoint whose tensors are whole; for all else it is the one that it was made of.

    Args:
        checkpoint: open.
        recorded: its table in the manifest.
    """

    def __init__(self, checkpoint: Any, recorded: Table) -> None:
        self._checkpoint, self._recorded = checkpoint, recorded
        self._parts = {_name_of(group): group for group in _groups(recorded) if group[0].shard}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checkpoint, name)

    def table(self) -> Table:
        """The checkpoint's, joined where all parts are there as they were recorded."""
        stored: Table = self._checkpoint.table()
        known = self._recorded.tensors
        told = {
            key: replace(r, shard=known[key].shard) if _same(r, known.get(key)) else r
            for key, r in stored.tensors.items()
        }
        return joined(replace(stored, tensors=told))

    def read(self, key: str) -> Array:
        """One tensor, under its own key."""
        parts = self._parts.get(key)
        if parts is None:
            array: Array = self._checkpoint.read(key)
            return array
        return np.concatenate([self._checkpoint.read(part.own_key) for part in parts])


def _same(stored: TensorRecord, known: TensorRecord | None) -> bool:
    return known is not None and known.spec == stored.spec


def joined(table: Table) -> Table:
    """A table with the whole tensors in the place of their parts, numbered as if they were one.

    Law: `joined(joined(t)) == joined(t)`.
    """
    keys: dict[str, str] = {}
    counts: dict[str, int] = {}
    found: list[TensorRecord] = []
    cut = {r.key.rpartition("/")[0] for r in table.tensors.values() if r.shard is not None}
    for group in _groups(table):
        first, holder = group[0], group[0].key.rpartition("/")[0]
        if holder not in cut:
            found.append(first)
            continue
        keys[first.key] = key = f"{holder}/{counts.get(holder, 0)}"
        counts[holder] = counts.get(holder, 0) + 1
        found.append(_whole(group, key))
    found = [replace(r, slot_of=keys.get(r.slot_of, r.slot_of)) for r in found]
    return replace(table, tensors={record.key: record for record in found})


def _groups(table: Table) -> Iterator[Sequence[TensorRecord]]:
    """Each tensor by itself, and the parts of one together where none is missing."""
    records = list(table.tensors.values())
    place = 0
    while place < len(records):
        shard = records[place].shard
        group = records[place : place + shard.count] if shard else records[place : place + 1]
        if shard and [r.shard and (r.shard.index, r.shard.whole) for r in group] != [
            (index, shard.whole) for index in range(shard.count)
        ]:
            group = [replace(records[place], shard=None)]  # a part that is left alone
        yield group
        place += len(group)


def _whole(group: Sequence[TensorRecord], key: str) -> TensorRecord:
    first = group[0]
    if first.shard is None:
        return replace(first, key=key, stored_as=first.own_key if key != first.key else "")
    counts = [r.nonfinite for r in group]
    rows = sum(r.spec.shape[0] for r in group)
    return replace(
        first,
        key=key,
        spec=TensorSpec((rows, *first.spec.shape[1:]), first.spec.dtype),
        digest=first.shard.whole if all(r.digest is not None for r in group) else None,
        nonfinite=None if None in counts else sum(n for n in counts if n is not None),
        extent=None,
        shard=None,
        stored_as=_name_of(group),
    )


def _name_of(group: Sequence[TensorRecord]) -> str:
    """What the parts are called together: `layers/dense/vars/2..3`."""
    return f"{group[0].key}..{group[-1].key.rpartition('/')[2]}"


def in_parts(manifest: Manifest | None) -> bool:
    """Whether a manifest tells of tensors that are parts of others."""
    return manifest is not None and any(r.shard for r in manifest.table.tensors.values())
