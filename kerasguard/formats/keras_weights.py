"""The tensors of one or several HDF5 files in Keras 3's layout; what its formats share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kerasguard.errors import CorruptCheckpointError, UnknownFormatError
from kerasguard.formats.hdf5.file import Hdf5File, StoredDataset
from kerasguard.formats.keras_paths import OLD_CONTAINER, canonical_keys, weights_table
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.storage.strict_json import strict_json
from kerasguard.tensors import Extent, Table, TensorSpec
from kerasguard.tensors.elements import Array, numpy_dtype

__all__ = ["KerasWeights", "WeightsFile", "parse_config", "parse_versions"]

_MAX_METADATA = 1 << 20


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One HDF5 file with weights.

    Args:
        name: of the file that it is or lies in, relative to the checkpoint's folder.
        file: that file.
        offset: its first byte there.
        length: its size in bytes; to the end of the file by default.
        data: its bytes, if it is compressed there.
    """

    name: str
    file: OpenedFile
    offset: int = 0
    length: int | None = None
    data: bytes | None = None

    def open(self) -> Hdf5File:
        """By way of libhdf5."""
        return Hdf5File(self.file, offset=self.offset, length=self.length, data=self.data)


class KerasWeights:
    """Tensors by the key that today's Keras would use.

    Nothing is opened by libhdf5 before it is asked for.

    Args:
        path: the checkpoint; for messages.
        parts: its HDF5 files.
        architecture: the stored config, which names layers that the files do not.
    """

    def __init__(
        self,
        path: Path,
        parts: Sequence[WeightsFile],
        architecture: Mapping[str, Any] | None = None,
    ) -> None:
        self._path, self._parts, self._architecture = path, parts, architecture
        self._opened: dict[int, Hdf5File] = {}
        self._foreign: list[str] = []

    @cached_property
    def table(self) -> Table:
        """All tensors and layers.

        Raises:
            CorruptCheckpointError: the files are damaged or contradict each other.
            UnknownFormatError: sound HDF5, but nothing in it is laid out as Keras does.
        """
        tensors = {
            key: (dataset.spec, self._extent(part, dataset))
            for key, (part, dataset) in self._datasets.items()
        }
        groups = self._content[0]
        if self._parts and not tensors and not any(path.endswith("vars") for path in groups):
            raise UnknownFormatError(
                self._path,
                "an HDF5 file without Keras weights: no `vars` groups as Keras 3 writes them, no "
                "`layer_names` as Keras 1 and 2 do; pass a file that Keras saved",
            )
        old = any(OLD_CONTAINER in dataset.path for _, dataset in self._datasets.values())
        return weights_table(tensors, groups, self._architecture, by_keras_2=old)

    def read(self, key: str) -> Array:
        """One tensor, little-endian and C-ordered."""
        part, dataset = self._datasets[key]
        if dataset.offset is None:
            return self._hdf5(part).read(dataset)
        data = np.empty(dataset.spec.nbytes, np.uint8)
        self._parts[part].file.read_into(data.data, dataset.offset)
        return data.view(numpy_dtype(dataset.spec.dtype)).reshape(dataset.spec.shape)

    def paths(self, part: int) -> set[str]:
        """Paths, as they are, of the datasets in one of the files."""
        return {d.path for index, d in self._datasets.values() if index == part}

    def foreign(self) -> tuple[str, ...]:
        """Paths of datasets that are not Keras', which writes all of its own under `vars`."""
        return tuple(self._foreign) if self._content else ()

    def canonical(self, paths: Sequence[str]) -> dict[str, str]:
        """Paths of assets as today's Keras names them, by those of the writer.

        Keras 2.12 numbered the layers otherwise, those without assets or weights among them.
        """
        if not any(OLD_CONTAINER in path.replace("\\", "/").split("/") for path in paths):
            return {path: path for path in paths}
        names, stored = self._hdf5(0).walk()
        keys = canonical_keys([*names, *stored, *paths])
        return {path: keys[path] for path in paths}

    def versions(self) -> dict[str, str]:
        """What the first file's root tells of its writer."""
        names = {"keras": "keras_version", "backend": "backend"}
        found = {key: self._hdf5(0).attribute("", name) for key, name in names.items()}
        return {key: value for key, value in found.items() if isinstance(value, str)}

    def close(self) -> None:
        """Close libhdf5's handles; the files stay open."""
        for opened in self._opened.values():
            opened.close()
        self._opened = {}

    @property
    def _datasets(self) -> dict[str, tuple[int, StoredDataset]]:
        return self._content[1]

    @cached_property
    def _content(self) -> tuple[dict[str, str], dict[str, tuple[int, StoredDataset]]]:
        """Names of groups, and part and dataset, by canonical path."""
        groups: dict[str, str] = {}
        datasets: dict[str, tuple[int, StoredDataset]] = {}
        for part, place in enumerate(self._parts):
            names, stored = self._hdf5(part).walk()
            for path in filter(_is_own, self._hdf5(part).foreign):
                self._hdf5(part).refuse(path)
            self._foreign += [p for p in (*stored, *self._hdf5(part).foreign) if not _is_own(p)]
            stored = {path: d for path, d in stored.items() if _is_own(path)}
            keys = canonical_keys([*names, *stored])
            groups |= {keys[path]: name for path, name in names.items()}
            for path, dataset in stored.items():
                if keys[path] in datasets:
                    raise CorruptCheckpointError(
                        place.file.path,
                        f"holds {keys[path]} although another entry already does; the files "
                        "belong to different saves: copy all of them again",
                    )
                datasets[keys[path]] = part, dataset
        return groups, datasets

    def _extent(self, part: int, dataset: StoredDataset) -> Extent | None:
        if dataset.offset is None:
            return None
        return Extent(self._parts[part].name, dataset.offset, dataset.spec.nbytes)

    def _hdf5(self, part: int) -> Hdf5File:
        if part not in self._opened:
            self._opened[part] = self._parts[part].open()
        return self._opened[part]


def _is_own(path: str) -> bool:
    return "vars" in path.split("/")[:-1]


def parse_config(path: Path, data: bytes) -> dict[str, Any]:
    """The architecture in a `config.json`.

    Raises:
        CorruptCheckpointError: it is not JSON object that names a class.
    """
    try:
        # Keras writes NaN and infinities into configs; they are not JSON, but they are its word.
        config = strict_json(data, constants=True)
    except ValueError as error:
        raise CorruptCheckpointError(
            path, f"config.json cannot be read: {error}; restore it from a copy of the checkpoint"
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise CorruptCheckpointError(
            path, "config.json is not a Keras config: it names no class; was it saved by Keras?"
        )
    return config


def parse_versions(path: Path, data: bytes) -> dict[str, str]:
    """The writer that a `metadata.json` tells of; raises as `parse_config`."""
    try:
        metadata = strict_json(data, max_bytes=_MAX_METADATA)
    except ValueError as error:
        raise CorruptCheckpointError(
            path, f"metadata.json cannot be read: {error}; restore it from a copy of the checkpoint"
        ) from error
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return {"keras": version} if isinstance(version, str) else {}


def specs(table: Table) -> dict[str, TensorSpec]:
    """Spec of every tensor by key."""
    return {key: record.spec for key, record in table.tensors.items()}
