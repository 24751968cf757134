"""`.keras`: config, weights and assets in one zip archive, as Keras 2.12 on writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from kerasguard.errors import CorruptCheckpointError, KerasguardError
from kerasguard.formats.keras_weights import KerasWeights, WeightsFile, parse_config, parse_versions
from kerasguard.formats.zip_archive import START as ZIP
from kerasguard.formats.zip_archive import ZipArchive, looks_like_zip
from kerasguard.manifest import MemberRecord
from kerasguard.storage.budget import excess, unpacked_limit
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["KerasZip", "safe_asset"]

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets/"
_FIXED = {CONFIG, METADATA, WEIGHTS}
# What parsed JSON takes is many times its text, so one that is compressed gets less.
_MAX_CONFIG, _MAX_PACKED_CONFIG, _MAX_METADATA = 64 << 20, 1 << 20, 1 << 20


class KerasZip(Checkpoint):
    """A `.keras` file.

    Args:
        path: the file, whatever its name.

    Raises:
        CheckpointError: it cannot be opened, is damaged, or holds what Keras does not write.
    """

    name: ClassVar[str] = "keras_zip"
    traits: ClassVar[Traits] = Traits(
        "walk", config="keras3", complete=True, suffixes=(".keras",), starts=ZIP
    )

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = OpenedFile(self.path)
        try:
            self._archive = ZipArchive(self._file)
            self._check_members()
            limit = min(_MAX_CONFIG, max(_MAX_PACKED_CONFIG, self._file.size))
            self._config = parse_config(self.path, self._archive.read(CONFIG, limit))
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a zip archive with a Keras config or weights, or the stump of one."""
        if not looks_like_zip(path):
            return False
        try:
            with OpenedFile(path) as file:
                try:
                    return bool(ZipArchive(file).members.keys() & _FIXED)
                except CorruptCheckpointError:
                    # Truncated or tampered with: the first or last bytes still tell what it was.
                    ends = (
                        file.pread(0, min(file.size, 256)),
                        file.pread(max(0, file.size - 1024), min(file.size, 1024)),
                    )
                    return any(name.encode() in end for name in _FIXED for end in ends)
        except KerasguardError:
            return False

    def files(self) -> Mapping[str, OpenedFile]:
        """The one file."""
        return {self.path.name: self._file}

    def table(self) -> Table:
        """All tensors; layers from the config and from the weights."""
        return self._weights.table

    def read(self, key: str) -> Array:
        """One tensor."""
        return self._weights.read(key)

    def architecture(self) -> dict[str, Any] | None:
        """The stored config."""
        return self._config

    def writer(self) -> dict[str, str]:
        """The version of Keras, if the archive tells."""
        if METADATA not in self._archive.members:
            return {}
        return parse_versions(self.path, self._archive.read(METADATA, _MAX_METADATA))

    def assets(self) -> Mapping[str, bytes]:
        """Every file under `assets/`."""
        return self._assets

    def member_records(self) -> tuple[MemberRecord, ...]:
        """Size, CRC-32 and SHA-256 of every member; reads them all."""
        return tuple(MemberRecord(m.name, m.size, m.crc32) for m in self._archive.members.values())

    def verify_container(self) -> list[str]:
        """Members whose bytes do not have the CRC-32 that the archive tells."""
        return [
            f"{self.path.name}: member {name} does not match the CRC-32 in the archive; it "
            "changed after it was saved: restore the file from a copy"
            for name, member in self._archive.members.items()
            if self._archive.crc32(name) != member.crc32
        ]

    def foreign(self) -> Sequence[str]:
        """Datasets in the weights that are not Keras'."""
        return self._weights.foreign()

    def close(self) -> None:
        """Close the file."""
        if "_weights" in self.__dict__:
            self._weights.close()
        self._file.close()

    @cached_property
    def _weights(self) -> KerasWeights:
        member = self._archive.members[WEIGHTS]
        if member.stored:
            part = WeightsFile(self.path.name, self._file, member.offset, member.size)
        else:
            data = self._archive.read(WEIGHTS, unpacked_limit(self._file.size))
            part = WeightsFile(self.path.name, self._file, data=data)
        return KerasWeights(self.path, [part], self._config)

    @cached_property
    def _assets(self) -> dict[str, bytes]:
        names = [n for n in self._archive.members if n.startswith(ASSETS) and not n.endswith("/")]
        places = self._weights.canonical([name.removeprefix(ASSETS) for name in names])
        return {
            place: self._archive.read(name, unpacked_limit(self._file.size))
            for name, place in zip(names, places.values(), strict=True)
        }

    def _check_members(self) -> None:
        members = self._archive.members
        for name in members:
            if name not in _FIXED and not safe_asset(name):
                if name.startswith("model.weights"):
                    raise self._broken(f"keeps its weights in {name}; kerasguard reads {WEIGHTS}")
                raise self._broken(f"member {name!r:.120} is not one that Keras writes")
        missing = [name for name in (CONFIG, WEIGHTS) if name not in members]
        if missing:
            raise self._broken(f"has no member {' and no '.join(missing)}")
        unpacked = sum(m.size for m in members.values())
        if over := excess(unpacked, unpacked_limit(self._file.size)):
            raise self._broken(f"unpacks to {unpacked} bytes{over}")

    def _broken(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            self.path, f"{what}; save the model again with Keras, as .keras"
        )


def safe_asset(name: str) -> bool:
    """Whether a member's name is a path below `assets/` on every system, or a folder on it."""
    if not name.startswith(ASSETS):
        return False
    parts = name.removesuffix("/").split("/")
    return all(
        part not in ("", ".", "..")
        and part == part.strip()
        and not part.endswith(".")
        and not re.search(r'[\\:*?"<>|\x00-\x1f\x7f]', part)
        for part in parts
    )
