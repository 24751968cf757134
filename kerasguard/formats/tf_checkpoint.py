"""TensorFlow checkpoints, read without TensorFlow: `<prefix>.index` and its data files.

Two kinds: *object-based* ones (`save_weights(save_format="tf")` of Keras in TensorFlow 1.10 to
2.15, `tf.train.Checkpoint`) store the object graph and address a tensor by the path of objects
that leads to it; *name-based* ones (`tf.train.Saver`) know only names of variables.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from kerasguard.errors import CheckpointNotFoundError, CorruptCheckpointError
from kerasguard.formats.tensorflow.object_layers import CONTAINERS, Told
from kerasguard.formats.tensorflow.object_table import ObjectTable, object_table
from kerasguard.formats.tensorflow.protobuf_wire import WireError
from kerasguard.formats.tensorflow.saver_table import saver_table
from kerasguard.formats.tensorflow.sorted_table import is_table
from kerasguard.formats.tensorflow.stored_objects import damaged_graph, object_graph
from kerasguard.formats.tensorflow.tensor_bundle import Bundle
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.storage.strict_json import strict_json
from kerasguard.storage.written import index_of
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["TFCheckpoint", "checkpoint_prefix"]

_CONFIG = "OBJECT_CONFIG_JSON"
_DATA_FILE = re.compile(r"\.data-\d{5}-of-\d{5}$")
# In a folder: which of its checkpoints is the latest.
_LATEST, _INDEX = "checkpoint", ".index"
_LONGEST_STATE = 1 << 20


def checkpoint_prefix(path: Path) -> Path | None:
    """The prefix that `path` stands for: itself, its `.index`, or a folder's latest checkpoint.

    A prefix may look like any other file (`weights.hdf5`): what counts is `<prefix>.index`. None
    where there is no index.
    """
    if path.is_dir():
        prefix = _latest(path / _LATEST)
    elif path.name == _LATEST and path.is_file():
        prefix = _latest(path)
    elif path.suffix == _INDEX:
        prefix = path.with_suffix("")
    elif not path.exists():
        prefix = path
    else:
        prefix = path.with_name(_DATA_FILE.sub("", path.name))
        prefix = prefix if prefix != path else None
    if prefix is None or not is_table(index_of(prefix)):
        return None
    return prefix


class TFCheckpoint(Checkpoint):
    """A checkpoint in TensorFlow's own format.

    Args:
        path: the prefix, the `.index` or a data file, or a folder with a `checkpoint` file.

    Raises:
        CheckpointNotFoundError: no index lies there.
        CorruptCheckpointError: the index or the object graph is damaged, a data file is missing.
        UnknownFormatError: it is big-endian, compressed or of a newer version.
    """

    name: ClassVar[str] = "tf_checkpoint"
    traits: ClassVar[Traits] = Traits("objects")

    def __init__(self, path: Path) -> None:
        prefix = checkpoint_prefix(path)
        if prefix is None:
            raise CheckpointNotFoundError(
                path, "not a TensorFlow checkpoint: neither it nor its .index is a tensor index"
            )
        self.path = prefix
        self.bundle = Bundle(prefix)
        try:
            self._nodes = object_graph(self.bundle)
        except BaseException:
            self.bundle.close()
            raise

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a tensor index lies at `path`, beside it, or in it as a folder's latest."""
        try:
            return checkpoint_prefix(Path(path)) is not None
        except OSError:
            return False

    @classmethod
    def parts(cls, names: Collection[str]) -> dict[str, set[str]]:
        """Index and data files of every prefix; the list that names the latest is nobody's own."""
        found = {n.removesuffix(_INDEX): {n} for n in names if n.endswith(_INDEX)}
        for name in names:
            prefix = _DATA_FILE.sub("", name)
            if prefix != name and prefix in found:
                found[prefix].add(name)
        return {**found, "": {_LATEST} & {*names}}

    def files(self) -> Mapping[str, OpenedFile]:
        """The index and the data files, by name."""
        return self.bundle.files

    def table(self) -> Table:
        """All tensors, weights first; layers as far as the object graph and the names tell."""
        return self._objects.table

    @property
    def root(self) -> str:
        """The attribute of a `tf.train.Checkpoint` that is the model; keys are relative to it."""
        return self._objects.prefix

    def read(self, key: str) -> Array:
        """One tensor, its checksum verified.

        Raises:
            CorruptCheckpointError: its bytes do not match the checksum stored with them.
        """
        return self.bundle.read(self._objects.names[key])

    def stored_crc(self, key: str) -> int | None:
        """CRC32C of the tensor's bytes when it was written; None for a partitioned variable."""
        return self.bundle.stored_crc(self._objects.names[key])

    def verify_container(self) -> list[str]:
        """A line for every tensor whose bytes do not have their checksum. Reads all bytes."""
        return list(self.bundle.problems())

    def architecture(self) -> dict[str, Any] | None:
        """The model's config as TensorFlow 1.10 to 1.13 stored it; None for all later ones."""
        return self._config(self._objects.root) if self._nodes else None

    def layer_configs(self) -> dict[str, dict[str, Any]]:
        """The stored config of every layer that has one, by the layer's key in the table."""
        found = {key: self._config(node) for key, node in self._objects.layers.items()}
        return {key: config for key, config in found.items() if config is not None}

    def writer(self) -> dict[str, str]:
        """What gives the writer away: Keras' major version, by how it names what it tracks."""
        edges = {name for node in self._nodes for name, _ in node.children}
        new = bool(edges & {*CONTAINERS, "_kernel"})
        return {"keras": "3" if new else "2", "backend": "tensorflow"}

    def close(self) -> None:
        """Close all files; a second call does nothing."""
        self.bundle.close()

    @cached_property
    def _objects(self) -> ObjectTable:
        if not self._nodes:
            table = saver_table(self.bundle)
            return ObjectTable(table, {key: key for key in table.tensors})
        try:
            return object_table(self.bundle, self._nodes, dict(self._told()))
        except WireError as error:
            raise damaged_graph(self.path, error) from error

    def _told(self) -> Iterator[tuple[int, Told]]:
        for index in range(len(self._nodes)):
            config = self._config(index)
            if config is not None:
                yield index, Told.of(config)

    def _config(self, node: int) -> dict[str, Any] | None:
        """The Keras config that is stored of an object."""
        for attribute in self._nodes[node].attributes:
            if attribute.name == _CONFIG and attribute.key in self.bundle.entries:
                text = b"".join(self.bundle.strings(attribute.key))
                try:
                    config = strict_json(text, constants=True)
                except ValueError as error:
                    raise CorruptCheckpointError(
                        self.path, f"{attribute.key} cannot be read: {error}; copy it again"
                    ) from error
                return config if isinstance(config, dict) else None
        return None


def _latest(state: Path) -> Path | None:
    """The prefix that a folder's `checkpoint` file names, taken to lie in that folder."""
    try:
        with state.open("rb") as stream:
            text = stream.read(_LONGEST_STATE).decode()
    except (OSError, UnicodeDecodeError):
        return None
    match = re.search(r'^model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', text, re.MULTILINE)
    if match is None:
        return None
    # A folder that was moved still names its old place; the file itself moved along.
    told = match[1].replace("\\\\", "\\").replace('\\"', '"')
    return state.parent / re.split(r"[/\\]", told)[-1]
