"""A step of `keras.callbacks.OrbaxCheckpoint`: a folder with `pytree`, `model_config`, `assets`.

What tensors there are and what they hold is asked of Orbax' own reader, by way of a tree of NumPy
arrays: then nothing depends on the devices and the mesh that the checkpoint was saved from. Files,
config and digests of files need no Orbax.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kerasguard.errors import CorruptCheckpointError, MissingPackageError
from kerasguard.formats.keras_weights import parse_config
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

_Place = tuple[str, ...]


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
    def _trees(self) -> dict[str, dict[_Place, Any]]:
        return {}

    def _leaves(self, tree: str) -> dict[_Place, Any]:
        """By their place, the leaves of a tree that are tensors: what tells shape and dtype."""
        if tree not in self._trees:
            ocp = _orbax()
            ask = getattr(ocp, "metadata", None) or ocp.pytree_metadata
            with self._guarded(f"{tree}: its metadata cannot be read"), _alone(ocp):
                told = ask(self.path.absolute(), checkpointable_name=tree).metadata
                leaves = dict(_flat(told, ()))
                numbers = {place: leaf for place, leaf in leaves.items() if type(leaf) in _NUMBERS}
                if numbers:  # only the kind of each is told
                    read = self._asked(tree, leaves, numbers)
                    leaves.update((place, _short(number)) for place, number in read.items())
            self._trees[tree] = {k: leaf for k, leaf in leaves.items() if hasattr(leaf, "shape")}
        return self._trees[tree]

    def _load(self, tree: str, names: Sequence[str]) -> dict[str, Array]:
        leaves = self._leaves(tree)
        places = {"/".join(place): place for place in leaves}
        asked = {places[name]: _like(leaves[places[name]]) for name in names}
        with self._guarded(f"{tree}: cannot be read ({len(names)} tensors from {names[0]} on)"):
            found = self._asked(tree, leaves, asked)
            arrays = {n: np.asarray(found[p], leaves[p].dtype) for n in names if (p := places[n])}
            return {n: np.ascontiguousarray(a).reshape(a.shape) for n, a in arrays.items()}

    def _asked(
        self, tree: str, places: Iterable[_Place], asked: Mapping[_Place, Any]
    ) -> dict[_Place, Any]:
        """Some leaves of a tree, each like what is given for it; the others are not read."""
        ocp = _orbax()
        abstract: dict[str, Any] = {}
        for place in places:
            here = abstract
            for part in place[:-1]:
                here = here.setdefault(part, {})
            here[place[-1]] = asked.get(place, ocp.PLACEHOLDER)
        with _alone(ocp):
            loaded = ocp.load_checkpointables(self.path.absolute(), {tree: abstract})[tree]
        return {place: leaf for place, leaf in _flat(loaded, ()) if place in asked}

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


def _flat(tree: Any, place: _Place) -> Iterator[tuple[_Place, Any]]:
    if isinstance(tree, Mapping):
        for name, item in tree.items():
            yield from _flat(item, (*place, str(name)))
    else:
        yield place, tree


def _short(number: Any) -> Array:
    """A number of Python as the scalar that Keras made it of.

    Where Keras does not compute with JAX it hands Orbax `.item()` of a scalar, which has lost its
    dtype: one that float32 can hold is taken for what Keras' own scalars are.
    """
    array = np.asarray(number)
    short = array.astype(np.float32) if type(number) is float else array
    return short if np.array_equal(short, array, equal_nan=True) else array


def _like(leaf: Any) -> Any:
    """What Orbax' reader is given to tell it what to return."""
    return leaf.item() if isinstance(leaf, np.ndarray) else np.empty(leaf.shape, leaf.dtype)


@contextlib.contextmanager
def _alone(ocp: Any) -> Iterator[None]:
    """Orbax reads here without waiting for other processes of JAX, which may not read at all.

    It numbers what all processes do together, and would wait for ever for one that has counted
    otherwise: what one does by itself must not count.
    """
    jax: Any = sys.modules.get("jax")
    if jax is None or jax.process_count() < 2:
        yield
        return
    rank = int(jax.process_index())
    options = ocp.options.MultiprocessingOptions(primary_host=rank, active_processes={rank})
    module: Any = sys.modules.get("orbax.checkpoint._src.futures.synchronization")
    numbers = getattr(module, "OperationIdGenerator", None)
    before = getattr(numbers, "_operation_id", None)
    try:
        with ocp.Context(multiprocessing_options=options):
            yield
    finally:
        if numbers is not None and before is not None:
            numbers._operation_id = before  # noqa: SLF001  # nothing public sets it
            numbers._operation_id_counter = itertools.count(before + 1)  # noqa: SLF001


def _orbax() -> Any:
    """The interface of Orbax that Keras' callback writes with.

    Raises:
        MissingPackageError: it is not installed, or too old.
    """
    try:
        found = importlib.import_module("orbax.checkpoint").v1
    except (ImportError, AttributeError) as error:
        raise MissingPackageError(
            "reading the tensors of an Orbax checkpoint needs Orbax, which is not installed or too "
            "old: pip install 'kerasguard[orbax]'"
        ) from error
    return found
