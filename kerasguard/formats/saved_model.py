"""TensorFlow's SavedModel, as far as Keras wrote into it; no graph is run.

Weights lie in a tensor bundle under `variables/`. What Keras knew of its layers lies in
`keras_metadata.pb`, before TensorFlow 2.5 in the object graph of `saved_model.pb` itself. Keras 3
exports its variables as one list and tells nothing of layers but the variables' names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats.tensorflow.exported_table import exported_table, is_exported
from kerasguard.formats.tensorflow.keras_metadata import (
    Metadata,
    plain,
    read_metadata,
    read_program,
)
from kerasguard.formats.tensorflow.lookup_source import LookupSource
from kerasguard.formats.tensorflow.lookup_tables import Vocabulary, vocabularies
from kerasguard.formats.tensorflow.object_layers import Told
from kerasguard.formats.tensorflow.object_table import ObjectTable, object_table
from kerasguard.formats.tensorflow.protobuf_wire import WireError
from kerasguard.formats.tensorflow.saver_table import saver_table
from kerasguard.formats.tensorflow.stored_objects import object_graph
from kerasguard.formats.tensorflow.tensor_bundle import Bundle
from kerasguard.storage.budget import allowed, excess
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile, first_bytes
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["SavedModel"]

_T = TypeVar("_T")
_PROGRAM, _METADATA, _FINGERPRINT = "saved_model.pb", "keras_metadata.pb", "fingerprint.pb"
_VARIABLES, _ASSETS = "variables/", "assets"
_MODELS = frozenset(("_tf_keras_model", "_tf_keras_network", "_tf_keras_sequential"))
_NO_CONFIG = "a layer was saved without its config"
_STOCK = frozenset(("Model", "Functional", "Sequential"))
_LARGEST, _MOST_ASSETS = 1 << 31, 10_000
_NOTHING = Metadata("", {})


class SavedModel(Checkpoint):
    """A SavedModel folder.

    Args:
        path: the folder, or the `saved_model.pb` in it.

    Raises:
        CheckpointNotFoundError: there is no `saved_model.pb`.
        CorruptCheckpointError: a file is damaged or missing.
    """

    name: ClassVar[str] = "saved_model"
    traits: ClassVar[Traits] = Traits(
        "objects", config="tensorflow", program=True, folder=True, marks=(_PROGRAM,)
    )

    def __init__(self, path: Path) -> None:
        self.path = path.parent if path.name == _PROGRAM else path
        self._files: dict[str, OpenedFile] = {}
        self.bundle: Bundle | None = None
        try:
            self._program = self._parse(_PROGRAM, read_program)
            self._metadata = dict(self._program.metadata)
            if (self.path / _METADATA).exists():
                self._metadata |= self._parse(_METADATA, read_metadata)
            if (self.path / _VARIABLES / "variables.index").exists():
                self.bundle = Bundle(self.path / _VARIABLES / "variables", _VARIABLES)
            for name in self._others():
                self._files[name] = OpenedFile(self.path / name)
        except BaseException:
            self.close()
            raise

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a folder whose `saved_model.pb` starts as that message does."""
        path = Path(path)
        program = path if path.name == _PROGRAM else path / _PROGRAM
        return first_bytes(program, 1) in (b"\x08", b"\x12")

    def files(self) -> Mapping[str, OpenedFile]:
        """The program, metadata, variables and assets, by name within the folder."""
        return self._files | (self.bundle.files if self.bundle else {})

    def table(self) -> Table:
        """All tensors; layers as far as metadata, object graph and names tell."""
        return self._objects.table

    def read(self, key: str) -> Array:
        """One tensor, its checksum verified.

        Raises:
            CorruptCheckpointError: its bytes do not match the checksum stored with them.
        """
        name = self._objects.names[key]
        assert self.bundle is not None, "there are variable names but no variables"
        return self.bundle.read(name)

    def verify_container(self) -> list[str]:
        """A line for every tensor whose bytes do not have their checksum. Reads all variables."""
        return list(self.bundle.problems()) if self.bundle else []

    def architecture(self) -> dict[str, Any] | None:
        """The root model's config, `training_config` with it; None where no config was stored.

        Tuples and shapes, which only this format marks as such, are lists as in an HDF5 file. Of
        a class of somebody's own without `get_config` only the name is known: its config is empty.
        Vocabularies, which Keras took out of their layers' configs, are in them again.
        """
        root = self._metadata.get(0, _NOTHING)
        if root.identifier not in _MODELS:
            return None
        model = root.config.get("model_config")
        model = model if isinstance(model, dict) else root.config
        class_name, config = model.get("class_name"), model.get("config")
        result: dict[str, Any] = {"class_name": class_name, "config": config}
        if not isinstance(config, dict) or not config or _NO_CONFIG in config:
            if not isinstance(class_name, str) or class_name in _STOCK:
                return None
            result["config"] = {}
        if isinstance(shape := plain(root.config.get("build_input_shape")), (list, dict)):
            result["build_config"] = {"input_shape": shape}
        if "training_config" in root.config:
            result["training_config"] = root.config["training_config"]
        unmarked: dict[str, Any] = plain(result)
        source = LookupSource(self._program, self._metadata, self.bundle, self._vocabularies)
        source.give(unmarked)
        return unmarked

    def layer_configs(self) -> dict[str, dict[str, Any]]:
        """The stored config of every layer that has one, by the layer's key in the table."""
        found = {}
        for key, node in self._objects.layers.items():
            told = self._layers.get(node, _NOTHING).config
            config = told.get("config")
            if isinstance(told.get("class_name"), str) and isinstance(config, dict) and config:
                found[key] = {"class_name": told["class_name"], "config": plain(config)}
        return found

    def writer(self) -> dict[str, str]:
        """TensorFlow's version, Keras' as far as it is told, and the backend."""
        told = {"tensorflow": self._program.version} if self._program.version else {}
        for metadata in self._metadata.values():
            version = metadata.config.get("keras_version")
            if isinstance(version, str):
                return {"keras": version, "backend": "tensorflow", **told}
        return {
            "keras": "3" if is_exported(self._program.nodes) else "2",
            "backend": "tensorflow",
            **told,
        }

    def close(self) -> None:
        """Close all files; a second call does nothing."""
        for file in self._files.values():
            file.close()
        if self.bundle is not None:
            self.bundle.close()

    @cached_property
    def _layers(self) -> dict[int, Metadata]:
        """What Keras stored of its objects, by node in the bundle's object graph."""
        nodes = object_graph(self.bundle) if self.bundle else ()
        same = self._program.matched(nodes)
        return {same[n]: metadata for n, metadata in self._metadata.items() if n in same}

    @cached_property
    def _objects(self) -> ObjectTable:
        if self.bundle is None:
            return ObjectTable(Table({}))
        nodes = object_graph(self.bundle)
        if not nodes:
            table = saver_table(self.bundle)
            return ObjectTable(table, {key: key for key in table.tensors})
        if is_exported(nodes):
            return exported_table(self.bundle, nodes)
        told = {node: Told.of(metadata.config) for node, metadata in self._layers.items()}
        try:
            return object_table(self.bundle, nodes, told)
        except WireError as error:
            raise self._damaged("variables", error) from error

    def _vocabularies(self) -> Mapping[int, Vocabulary]:
        nodes = self._program.nodes
        if not any(edge == "lookup_table" for node in nodes for edge, _ in node.children):
            return {}
        return self._parse(_PROGRAM, lambda data: vocabularies(data, nodes, self._asset))

    def _asset(self, name: str) -> bytes | None:
        file = self._files.get(f"{_ASSETS}/{name}")
        return None if file is None else file.pread(0, file.size)

    def _others(self) -> Iterator[str]:
        """Files that hold no tensor: the fingerprint, and what the graph reads at run time."""
        if (self.path / _FINGERPRINT).is_file():
            yield _FINGERPRINT
        assets = sorted((self.path / _ASSETS).glob("*"))
        for asset in assets[: allowed(_MOST_ASSETS)]:
            if asset.is_file() and not asset.is_symlink():
                yield f"{_ASSETS}/{asset.name}"

    def _parse(self, name: str, parse: Callable[[bytes], _T]) -> _T:
        file = self._files[name] = OpenedFile(self.path / name)
        if over := excess(file.size, _LARGEST):
            raise CorruptCheckpointError(file.path, f"has {file.size} bytes{over}")
        try:
            return parse(file.pread(0, file.size))
        except ValueError as error:  # a WireError is one, bad JSON is another
            raise self._damaged(name, error) from error

    def _damaged(self, name: str, error: Exception) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            self.path, f"{name} cannot be read: {error}; it is damaged: copy it again"
        )
