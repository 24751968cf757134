"""A step of `keras.callbacks.OrbaxCheckpoint`: a folder with `pytree`, `model_config`, `assets`.

What tensors there are and what they hold is asked of Orbax' own reader, by way of a tree of NumPy
arrays: then nothing depends on the devices and the mesh that the checkpoint was saved from. Files,
config and digests of files need no Orbax.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats.keras_weights import parse_config
from kerasguard.formats.orbax_reader import Place, alone, flat, like, orbax, short
from kerasguard.formats.variable_paths import state_table
from kerasguard.storage.budget import excess
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.storage.strict_json import strict_json
from kerasguard.tensors import Table, TensorSpec
from kerasguard.tensors.elements import Array, dtype_name

__all__ = ["OrbaxStep"]

_TREE, _CONFIG, _ASSETS = "pytree", "model_config", "assets"
_MARK, _STRINGS = f"{_TREE}/_METADATA", f"{_CONFIG}/_strings.json"
_MAX_FILES, _MAX_CONFIG = 10_000, 64 << 20
# Orbax reads a whole tree or some leaves of it; so many bytes are read and kept at a time.
_AT_ONCE = 64 << 20
_NUMBERS = (bool, int, float)
_COPY = "copy the whole step's folder again"


class OrbaxStep(Checkpoint):
    """One step's folder.

    Args:
        path: the folder, `<directory>/<step>`.

    Raises:
        CheckpointError: a file cannot be opened or is damaged.
        MissingPackageError: tensors are asked for, and Orbax is not installed.
    """

    name: ClassVar[str] = "orbax"
    traits: ClassVar[Traits] = Traits(
        "paths", config="keras3", complete=True, scattered=True, folder=True, marks=(_MARK,)
    )

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._files: dict[str, OpenedFile] = {}
        self._read: dict[str, Array] = {}
        try:
            for name in self._names():
                self._files[name] = OpenedFile(self.path / name)
        except BaseException:
            self.close()
            raise

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a folder with the tree that Keras' callback names so."""
        try:
            return (path / _MARK).is_file()
        except OSError:  # a folder that this user may not look into
            return False

    def files(self) -> Mapping[str, OpenedFile]:
        """Everything in the folder."""
        return dict(self._files)

    def table(self) -> Table:
        """All tensors, by their path in the tree: `trainable_variables/head/kernel`."""
        return state_table(self.specs())

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every tensor."""
        return {
            "/".join(place): TensorSpec(tuple(leaf.shape), dtype_name(np.dtype(leaf.dtype)))
            for place, leaf in self._leaves(_TREE).items()
        }

    def read(self, key: str) -> Array:
        """One tensor; a few that follow it are read with it and kept until others are."""
        if key not in self._read:
            self._read = {}  # before more memory is taken
            self._read = self._load(_TREE, self._batch(key))
        return self._read[key]

    def architecture(self) -> dict[str, Any] | None:
        """The stored config; None where only weights were saved."""
        if _STRINGS not in self._files:
            return None
        file = self._files[_STRINGS]
        if over := excess(file.size, _MAX_CONFIG):
            raise self._broken(f"{_STRINGS} has {file.size} bytes{over}")
        try:
            told = strict_json(file.pread(0, file.size))
        except ValueError as error:
            raise self._broken(f"{_STRINGS} cannot be read: {error}") from error
        text = told.get("config") if isinstance(told, dict) else None
        if not isinstance(text, str):
            raise self._broken(f"{_STRINGS} holds no config")
        return parse_config(self.path, text.encode())

    def writer(self) -> dict[str, str]:
        """Nothing is told; only Keras 3 writes such folders."""
        return {}

    def assets(self) -> Mapping[str, bytes]:
        """Files of layers, which lie in a tree of bytes of their own."""
        return self._assets

    def close(self) -> None:
        """Close all files; forget what was read."""
        self._read = {}
        for file in self._files.values():
            file.close()

    @cached_property
    def _assets(self) -> dict[str, bytes]:
        if f"{_ASSETS}/_METADATA" not in self._files:
            return {}
        names = ["/".join(place) for place in self._leaves(_ASSETS)]
        return {name: array.tobytes() for name, array in self._load(_ASSETS, names).items()}

    def _names(self) -> Iterator[str]:
        total = 0
        for folder, folders, names in os.walk(self.path):
            folders.sort()
            for name in sorted([*folders, *names]):
                if (Path(folder) / name).is_symlink():
                    raise self._broken(f"{name!r:.120} is a link, which Orbax does not write")
            for name in sorted(names):
                total += 1
                if over := excess(total, _MAX_FILES):
                    raise self._broken(f"holds {total} files and more{over}")
                yield (Path(folder) / name).relative_to(self.path).as_posix()

    def _batch(self, key: str) -> Sequence[str]:
        """The tensor, and those after it that are read as cheaply with it."""
        specs = self.specs()
        names = list(specs)
        if key not in specs:
            raise self._broken(f"{key} is not in it")
        start = names.index(key)
        chosen, size = [key], specs[key].nbytes
        for name in names[start + 1 :]:
            size += specs[name].nbytes
            if size > _AT_ONCE:
                break
            chosen.append(name)
        return chosen

    @cached_property
    def _trees(self) -> dict[str, dict[Place, Any]]:
        return {}

    def _leaves(self, tree: str) -> dict[Place, Any]:
        """By their place, the leaves of a tree that are tensors: what tells shape and dtype."""
        if tree not in self._trees:
            ocp = orbax()
            ask = getattr(ocp, "metadata", None) or ocp.pytree_metadata
            with self._guarded(f"{tree}: its metadata cannot be read"), alone(ocp):
                told = ask(self.path.absolute(), checkpointable_name=tree).metadata
                leaves = dict(flat(told, ()))
                numbers = {place: leaf for place, leaf in leaves.items() if type(leaf) in _NUMBERS}
                if numbers:  # only the kind of each is told
                    read = self._asked(tree, leaves, numbers)
                    leaves.update((place, short(number)) for place, number in read.items())
            self._trees[tree] = {k: leaf for k, leaf in leaves.items() if hasattr(leaf, "shape")}
        return self._trees[tree]

    def _load(self, tree: str, names: Sequence[str]) -> dict[str, Array]:
        leaves = self._leaves(tree)
        places = {"/".join(place): place for place in leaves}
        asked = {places[name]: like(leaves[places[name]]) for name in names}
        with self._guarded(f"{tree}: cannot be read ({len(names)} tensors from {names[0]} on)"):
            found = self._asked(tree, leaves, asked)
            arrays = {n: np.asarray(found[p], leaves[p].dtype) for n in names if (p := places[n])}
            return {n: np.ascontiguousarray(a).reshape(a.shape) for n, a in arrays.items()}

    def _asked(
        self, tree: str, places: Iterable[Place], asked: Mapping[Place, Any]
    ) -> dict[Place, Any]:
        """Some leaves of a tree, each like what is given for it; the others are not read."""
        ocp = orbax()
        abstract: dict[str, Any] = {}
        for place in places:
            here = abstract
            for part in place[:-1]:
                here = here.setdefault(part, {})
            here[place[-1]] = asked.get(place, ocp.PLACEHOLDER)
        with alone(ocp):
            loaded = ocp.load_checkpointables(self.path.absolute(), {tree: abstract})[tree]
        return {place: leaf for place, leaf in flat(loaded, ()) if place in asked}

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Whatever Orbax raises for what lies there, with what it was raised for."""
        logger = logging.getLogger("absl")
        before = logger.level
        logger.setLevel(logging.CRITICAL)  # it logs what it raises
        try:
            yield
        except Exception as error:
            cause: BaseException = error
            while cause.__cause__ or cause.__context__:
                cause = cause.__cause__ or cause.__context__ or cause
            raise self._broken(f"{what} ({type(cause).__name__}: {cause!s:.200})") from error
        finally:
            logger.setLevel(before)

    def _broken(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(self.path, f"{what}; {_COPY}")
