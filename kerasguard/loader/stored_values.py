"""A checkpoint's tensors for whoever needs a few of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.tensors.elements import Array

__all__ = ["StoredValues"]


class StoredValues(Mapping[str, Array]):
    """The tensors of a checkpoint by key, each read when it is asked for."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def __getitem__(self, key: str) -> Array:
        return self._checkpoint.read(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._checkpoint.specs())

    def __len__(self) -> int:
        return len(self._checkpoint.specs())
