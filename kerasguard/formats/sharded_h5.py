"""`.weights.json` and its shards: weights in several HDF5 files (`max_shard_size=`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from kerasguard.errors import CheckpointNotFoundError, CorruptCheckpointError
from kerasguard.formats.keras_weights import KerasWeights, WeightsFile
from kerasguard.storage.budget import allowed, excess
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile, first_bytes
from kerasguard.storage.strict_json import strict_json
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["ShardedH5"]

_MAX_INDEX = 64 << 20
# A recorded save beside an older one adds a token, so that neither overwrites the other's.
_SHARD = re.compile(r"(?P<base>.+)_\d+(-[0-9a-f]{8})?\.weights\.h5", re.DOTALL)
_COPY_ALL = "copy the index and all of its shards again, together"


class ShardedH5(Checkpoint):
    """An index and the shards that it names, all in one folder.

    Args:
        path: the index, whatever its name.

    Raises:
        CheckpointError: a shard is missing, cannot be opened or contradicts the index.
    """

    name: ClassVar[str] = "sharded_h5"
    traits: ClassVar[Traits] = Traits("walk", suffixes=(".weights.json",), starts=rb"\s*\{")

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._files = {self.path.name: OpenedFile(self.path)}
        try:
            self._map = self._parse(self._files[self.path.name])
            shards = sorted({shard for shards in self._map.values() for shard in shards})
            for shard in shards:
                self._files[shard] = self._shard(shard)
        except BaseException:
            self.close()
            raise
        parts = [WeightsFile(shard, self._files[shard]) for shard in shards]
        self._weights = KerasWeights(self.path, parts)
        self._shards = shards

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is JSON with a `weight_map`."""
        start = first_bytes(path, 64)
        if not start.lstrip().startswith(b"{"):
            return False
        return b'"weight_map"' in first_bytes(path, allowed(_MAX_INDEX))

    @classmethod
    def parts(cls, names: Collection[str]) -> dict[str, set[str]]:
        """The shards of every index among `names`, as Keras and kerasguard name them."""
        found: dict[str, set[str]] = {}
        for name in names:
            index = f"{match['base']}.weights.json" if (match := _SHARD.fullmatch(name)) else ""
            if index in names:
                found.setdefault(index, set()).add(name)
        return found

    def files(self) -> Mapping[str, OpenedFile]:
        """The index and the shards."""
        return dict(self._files)

    def table(self) -> Table:
        """All tensors and layers of all shards."""
        table = self._weights.table
        self._check()
        return table

    def read(self, key: str) -> Array:
        """One tensor."""
        return self._weights.read(key)

    def architecture(self) -> dict[str, Any] | None:
        """None: the format holds weights only."""
        return None

    def writer(self) -> dict[str, str]:
        """Keras writes no version into these files."""
        return {}

    def foreign(self) -> Sequence[str]:
        """Datasets in the weights that are not Keras'."""
        return self._weights.foreign()

    def close(self) -> None:
        """Close all files."""
        if "_weights" in self.__dict__:
            self._weights.close()
        for file in self._files.values():
            file.close()

    def _parse(self, file: OpenedFile) -> dict[str, list[str]]:
        """Shard names by the path of the group whose datasets they hold."""
        if over := excess(file.size, _MAX_INDEX):
            raise self._broken(f"the index has {file.size} bytes{over}")
        try:
            index = strict_json(file.pread(0, file.size))
        except ValueError as error:
            raise self._broken(f"the index cannot be read: {error}") from error
        places = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(places, dict):
            raise self._broken("the index has no `weight_map`")
        if not places and not _tells_of_none(index.get("metadata")):
            raise self._broken("the index names no shards, and not that there are no weights")
        result = {}
        for group, shards in places.items():
            names = [shards] if isinstance(shards, str) else shards
            if not isinstance(names, list) or not all(map(_safe, names)) or not names:
                raise self._broken(
                    f"the index names {shards!r:.120} for {group}; that is not a shard"
                )
            result[group.strip("/")] = names
        return result

    def _shard(self, name: str) -> OpenedFile:
        try:
            return OpenedFile(self.path.with_name(name))
        except CheckpointNotFoundError:
            raise CheckpointNotFoundError(
                self.path, f"the shard {name} is not beside its index; {_COPY_ALL}"
            ) from None

    def _check(self) -> None:
        """The index and the shards must tell of the same groups."""
        told = {(group, shard) for group, shards in self._map.items() for shard in shards}
        found = {
            (path.rpartition("/")[0], shard)
            for part, shard in enumerate(self._shards)
            for path in self._weights.paths(part)
        }
        for group, shard in sorted(told ^ found):
            where = "only the index" if (group, shard) in told else "only the shard"
            raise self._broken(f"{where} places {group} in {shard}")

    def _broken(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(self.path, f"{what}; {_COPY_ALL}")


def _tells_of_none(metadata: object) -> bool:
    """Whether Keras wrote that there are 0 bytes of weights, as of a model without any."""
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return type(total) in (int, float) and total == 0


def _safe(name: object) -> bool:
    """Whether it is the name of a file in the same folder, on every system."""
    return (
        isinstance(name, str)
        and bool(name.strip(". "))
        and not re.search(r'[/\\:*?"<>|\x00-\x1f\x7f]', name)
    )
