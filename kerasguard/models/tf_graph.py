"""A SavedModel's own program as an inference-only model. This is the one place that runs graphs.

TensorFlow is given a private copy of the folder, made of the files that were opened and verified,
so that nothing that replaces the folder meanwhile is ever run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras
import tensorflow as tf

from kerasguard.errors import ArchitectureError, CheckpointError, CorruptCheckpointError, ModelError
from kerasguard.models.tf_program import endpoint_of, leave_out_optimizers
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table, TensorRecord
from kerasguard.tensors.elements import Array

__all__ = ["GraphModel", "GraphSink"]

_PROGRAM = os.fsdecode(tf.compat.v1.saved_model.constants.SAVED_MODEL_FILENAME_PB)
_NO_CONFIG = (
    "the model is a stored TensorFlow graph without layers, so it has no config and cannot be "
    "saved by Keras; keep the SavedModel it came from"
)


class GraphModel(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A stored graph that predicts.

    Args:
        program: what `tf.saved_model.load` returned.
        endpoint: the function of it to call.
        structure: of the first argument: `tf.TensorSpec`s in lists, tuples and dicts.
        name: of the model.
    """

    def __init__(
        self, program: Any, endpoint: Callable[[Any], Any], structure: Any, name: str
    ) -> None:
        super().__init__(name=name, trainable=False, autocast=False)
        self._program = program
        self._endpoint = endpoint
        self._structure = structure
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Run the graph.

        Args:
            inputs: as the stored signature has them; a list stands for the inputs of a model with
                several, a dict for named ones.

        Returns:
            What the graph returns; named outputs in the order of their names.

        Raises:
            ModelError: they do not fit the signature.
        """
        outputs = self._endpoint(self._fitted(inputs))
        if isinstance(outputs, Mapping):  # the stored structure is a map that has no order
            return {name: outputs[name] for name in sorted(outputs)}
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Never; a graph has no config.

        Raises:
            ModelError: always.
        """
        raise ModelError(_NO_CONFIG)

    def _fitted(self, inputs: Any) -> Any:
        """The inputs in the signature's structure and dtypes."""
        specs, given = tf.nest.flatten(self._structure), tf.nest.flatten(inputs)
        named, by_name = isinstance(self._structure, Mapping), isinstance(inputs, Mapping)
        several = len(specs) > 1
        if by_name:
            names = list(self._structure) if named else [spec.name for spec in specs]
            fits = set(names) == set(inputs)
            given = [inputs[n] for n in (sorted(names) if named else names)] if fits else []
        elif named and several:
            given = []  # the order of named inputs is not stored: a list would be a guess
        if len(given) != len(specs):
            raise ModelError(f"the graph takes {_shown(self._structure)}, not {_shown(inputs)}")
        pairs = zip(given, specs, strict=True)
        cast = [g if g.dtype == spec.dtype else tf.cast(g, spec.dtype) for g, spec in pairs]
        return tf.nest.pack_sequence_as(self._structure, cast)


class GraphSink:
    """The target of restoring a SavedModel as it is; nothing is run before `assign`.

    Args:
        path: of the SavedModel, for messages.
        files: its opened files, by name within the folder.
        table: its tensors.
        recorded: SHA-256 by name of the files that a manifest vouches for.
    """

    open_layers: frozenset[str] = frozenset()
    open_keys: frozenset[str] = frozenset()
    merged_parts: ClassVar[dict[str, list[TensorRecord]]] = {}
    hidden: frozenset[str] = frozenset()
    visits: tuple[Any, ...] = ()
    vocabularies: tuple[Any, ...] = ()

    def __init__(
        self,
        path: Path,
        files: Mapping[str, OpenedFile],
        table: Table,
        recorded: Mapping[str, str],
    ) -> None:
        self.path, self.files, self.table, self.recorded = path, files, table, recorded
        self.places: dict[str, Any] = {}
        self._model: GraphModel | None = None

    @property
    def model(self) -> GraphModel:
        """The model, once it is assigned."""
        assert self._model is not None, "the graph is loaded by assign"
        return self._model

    def assign(
        self,
        values: Mapping[str, Array],
        assets: Mapping[str, bytes] | None = None,
        then: Callable[[], None] | None = None,
    ) -> frozenset[str]:
        """Load the program with its variables.

        Args:
            values: taken note of by the plan; the program reads the same bytes from its copy.
            assets: a program's assets are files of its own.
            then: called at the end; what it raises, this raises.

        Returns:
            All keys: the program has read them from a copy whose digests are the recorded ones.

        Raises:
            CorruptCheckpointError: a file is not what was recorded; nothing was run.
            ArchitectureError: TensorFlow cannot load it, or it has nothing to call.
        """
        with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
            for name, file in self.files.items():
                self._copy(name, file, Path(folder))
            try:
                partial = leave_out_optimizers(Path(folder) / _PROGRAM)
                options = tf.saved_model.LoadOptions(allow_partial_checkpoint=partial)
                program = tf.saved_model.load(folder, options=options)
            except Exception as error:
                raise ArchitectureError(
                    f"{self.path}: TensorFlow {tf.__version__} cannot load the graph: {error}"
                ) from error
        endpoint, structure = endpoint_of(program, self.path)
        name = "".join(c if c.isalnum() else "_" for c in self.path.name) or "graph"
        self._model = GraphModel(program, endpoint, structure, name)
        if then is not None:
            then()
        return frozenset(values)

    def _copy(self, name: str, file: OpenedFile, folder: Path) -> None:
        target, state = folder / name, hashlib.sha256()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("wb") as stream:
                for piece in file.pieces():
                    state.update(piece)
                    stream.write(piece)
        except OSError as error:
            raise CheckpointError(
                self.path, f"{name} cannot be copied to {folder}: {error}; free some space there"
            ) from error
        if self.recorded.get(name, state.hexdigest()) != state.hexdigest():
            raise CorruptCheckpointError(
                self.path, f"{name}: its SHA-256 differs from the recorded one; nothing was run"
            )


def _shown(structure: Any) -> str:
    """Shapes and dtypes of inputs, with their names where they have some."""
    if isinstance(structure, Mapping):
        return "{" + ", ".join(f"{k!r}: {_shown(v)}" for k, v in structure.items()) + "}"
    if isinstance(structure, (list, tuple)):
        return "[" + ", ".join(map(_shown, structure)) + "]"
    shape = ", ".join("any" if d is None else str(d) for d in structure.shape)
    return f"{structure.dtype.name}({shape})"
