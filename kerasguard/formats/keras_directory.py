"""A folder with what a `.keras` archive holds: `config.json`, weights, assets, unpacked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats.keras_weights import KerasWeights, WeightsFile, parse_config, parse_versions
from kerasguard.formats.keras_zip import ASSETS, CONFIG, METADATA, WEIGHTS, safe_asset
from kerasguard.storage.budget import excess
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["KerasDirectory"]

_MAX_CONFIG, _MAX_ASSETS, _MAX_FILES = 64 << 20, 1 << 30, 10_000


class KerasDirectory(Checkpoint):
    """A folder as `save_model(..., zipped=False)` writes it.

    Args:
        path: the folder. Files that Keras does not write there are left alone.

    Raises:
        CheckpointError: a file cannot be opened or is damaged.
    """

    name: ClassVar[str] = "keras_directory"
    traits: ClassVar[Traits] = Traits(
        "walk", config="keras3", complete=True, folder=True, marks=(CONFIG, METADATA, WEIGHTS)
    )

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._files: dict[str, OpenedFile] = {}
        try:
            for name in (CONFIG, METADATA, WEIGHTS, *self._asset_names()):
                self._files[name] = OpenedFile(self.path / name)
            self._config = parse_config(self.path, self._content(CONFIG, _MAX_CONFIG))
        except BaseException:
            self.close()
            raise
        part = WeightsFile(WEIGHTS, self._files[WEIGHTS])
        self._weights = KerasWeights(self.path, [part], self._config)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a folder with the three files that Keras always writes."""
        try:
            return all((path / name).is_file() for name in (CONFIG, METADATA, WEIGHTS))
        except OSError:  # a folder that this user may not look into
            return False

    def files(self) -> Mapping[str, OpenedFile]:
        """Config, metadata, weights and assets."""
        return dict(self._files)

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
        """The version of Keras."""
        return parse_versions(self.path, self._content(METADATA, _MAX_CONFIG))

    def assets(self) -> Mapping[str, bytes]:
        """Every file under `assets/`."""
        return self._assets

    def foreign(self) -> Sequence[str]:
        """Datasets in the weights that are not Keras'."""
        return self._weights.foreign()

    def close(self) -> None:
        """Close all files."""
        if "_weights" in self.__dict__:
            self._weights.close()
        for file in self._files.values():
            file.close()

    @cached_property
    def _assets(self) -> dict[str, bytes]:
        names = [name for name in self._files if name.startswith(ASSETS)]
        return {name.removeprefix(ASSETS): self._content(name, _MAX_ASSETS) for name in names}

    def _asset_names(self) -> Iterator[str]:
        total = 0
        # Links are not followed: an asset must lie in the folder that it is an asset of.
        for folder, folders, names in os.walk(self.path / ASSETS):
            for name in sorted([*folders, *names]):
                place = Path(folder) / name
                relative = place.relative_to(self.path).as_posix()
                if place.is_symlink() or not safe_asset(relative):
                    raise self._broken(f"{relative!r:.120} is not a file that Keras writes")
            for name in sorted(names):
                total += 1
                if over := excess(total, _MAX_FILES):
                    raise self._broken(f"holds {total} assets and more{over}")
                yield (Path(folder) / name).relative_to(self.path).as_posix()

    def _content(self, name: str, limit: int) -> bytes:
        file = self._files[name]
        if over := excess(file.size, limit):
            raise self._broken(f"{name} has {file.size} bytes{over}")
        return file.pread(0, file.size)

    def _broken(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(self.path, f"{what}; save the model again with Keras")
