"""Walk an HDF5 file of strangers: what it holds, without reading a tensor.

Only what Keras writes is let through: groups and datasets by hard links, plain numbers, the four
harmless filters. Everything that would make libhdf5 open another file (soft and external links,
external storage, virtual datasets), load a plugin or follow a pointer is refused by its
description, before it is used.
"""

from __future__ import annotations

import io
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5s, h5t

from kerasguard.errors import CheckpointError, CorruptCheckpointError, KerasguardError
from kerasguard.formats.hdf5.attributes import read_attribute, text
from kerasguard.formats.hdf5.chunks import check_chunks
from kerasguard.formats.hdf5.classic import Unusual, classic_walk, root_names
from kerasguard.formats.hdf5.dataset import NAMELESS, StoredDataset, describe
from kerasguard.formats.hdf5.headers import Headers
from kerasguard.storage.budget import excess, unpacked_limit
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors.elements import Array, numpy_dtype

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["START", "Hdf5File", "StoredDataset", "is_hdf5", "root_attributes"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
START = re.escape(_SIGNATURE)
_MAX_DEPTH = 100
_MAX_OBJECTS = 2_000_000
_COPY_AGAIN = "the file is damaged: copy or download it again"


def is_hdf5(path: Path) -> bool:
    """Whether the file has HDF5's signature where HDF5 looks for it; False if unreadable."""
    try:
        with OpenedFile(path) as file:
            offset = 0
            while offset + len(_SIGNATURE) <= file.size:
                if file.pread(offset, len(_SIGNATURE)) == _SIGNATURE:
                    return True
                offset = max(512, offset * 2)
    except CheckpointError:
        return False
    return False


def root_attributes(path: Path) -> frozenset[str]:
    """Names of the root's attributes and members; empty where HDF5 cannot open the file."""
    try:
        with OpenedFile(path) as file, Hdf5File(file) as content:
            return frozenset(content.names())
    except KerasguardError:
        return frozenset()


class Hdf5File:
    """The groups and datasets of one HDF5 file, or of one inside another file.

    Args:
        file: what holds it.
        offset: its first byte there.
        length: its size in bytes; to the end by default.
        data: its bytes, where they lie nowhere as they are (a compressed zip member).

    Raises:
        CorruptCheckpointError: HDF5 cannot open it.
    """

    def __init__(
        self,
        file: OpenedFile,
        *,
        offset: int = 0,
        length: int | None = None,
        data: bytes | None = None,
    ) -> None:
        self._path, self._base, self._in_place = file.path, offset, data is None
        if data is not None:
            self.size = len(data)
            self._raw: io.IOBase = io.BytesIO(data)
            self._read: Callable[[int, int], bytes] = lambda at, n: data[at : at + n]
        else:
            self.size = file.size - offset if length is None else length
            self._raw = file.fileobj(offset, self.size)
            self._read = lambda at, n: file.pread(offset + at, n)
        self._headers = Headers(self._read, self.size)
        self._finalizer: weakref.finalize[..., Hdf5File] | None = None
        self.foreign: dict[str, str] = {}

    def attribute(self, path: str, name: str) -> Any:
        """A text, number or array in the attribute `name` of the object at `path`, or None.

        Args:
            path: of a group or dataset that `walk` returned; empty for the root.
            name: of the attribute.
        """
        with self._guarded(f"attribute {name!r} of {path or '/'!r} cannot be read"):
            place = h5o.open(self._root.id, path.encode() or b"/")
            return read_attribute(self._headers, place, name)

    def names(self) -> set[str]:
        """Names of the root's attributes and of what lies directly in it; nothing is opened."""
        with suppress(Unusual):
            return root_names(self._headers)
        with self._guarded("the root cannot be listed"):
            return {*self._root.attrs.keys(), *self._root.keys()}

    def walk(self) -> tuple[dict[str, str], dict[str, StoredDataset]]:
        """All groups by path, with the text of their `name` attribute or "", and all datasets.

        Datasets of a kind that Keras does not write, or whose bytes the file cannot hold, are left
        out; `foreign` tells why, by path.

        Raises:
            CorruptCheckpointError: links to elsewhere, or anything else that no user adds.
        """
        try:
            groups, datasets = classic_walk(self._headers)
        except Unusual:
            groups, datasets = self._walk()
        self._check_overlaps(datasets)
        self._check_unpacked(datasets)
        return groups, {path: self._placed(dataset) for path, dataset in datasets.items()}

    def _walk(self) -> tuple[dict[str, str], dict[str, StoredDataset]]:
        """The same by way of libhdf5."""
        groups: dict[str, str] = {}
        datasets: dict[str, StoredDataset] = {}
        seen = {0}
        # Iterative, because the depth is the file's to choose.
        with self._guarded("the root cannot be opened"):
            root = h5o.open(self._root.id, b"/")
        open_groups: list[tuple[str, h5g.GroupID, int | None]] = [("", root, None)]
        while open_groups:
            path, group, address = open_groups.pop()
            if path.count("/") > _MAX_DEPTH:
                raise self._broken(f"{path!r} lies too deep")
            if over := excess(len(seen), _MAX_OBJECTS):
                raise self._broken(f"it has {len(seen)} objects and more{over}")
            with self._guarded(f"group {path or '/'!r} cannot be listed"):
                groups[path] = text(read_attribute(self._headers, group, "name", address))
                for name, child, place in self._children(group, path, seen):
                    inner = f"{path}/{name}" if path else name
                    if isinstance(child, h5g.GroupID):
                        open_groups.append((inner, child, place))
                    else:
                        self._describe(inner, child, datasets)
        return groups, datasets

    def read(self, dataset: StoredDataset) -> Array:
        """The elements, little-endian and C-ordered, by way of libhdf5."""
        dtype = numpy_dtype(dataset.spec.dtype)
        array = np.empty(dataset.spec.shape, dtype)
        if array.size:
            with self._guarded(f"dataset {dataset.path!r} cannot be read"):
                place = h5d.open(self._root.id, dataset.path.encode())
                check_chunks(place)
                kind = place.get_type()
                if dtype.kind == "V" or kind.get_class() == h5t.ENUM:
                    # Same bytes under another name; there is nothing to convert.
                    raw = array.reshape(-1).view(np.uint8)
                    place.read(h5s.ALL, h5s.ALL, raw, mtype=kind)
                    if kind.get_class() != h5t.OPAQUE and kind.get_order() == h5t.ORDER_BE:
                        raw.view(f"u{dtype.itemsize}").byteswap(inplace=True)
                else:
                    place.read(h5s.ALL, h5s.ALL, array, mtype=h5t.py_create(dtype))
        return array

    def close(self) -> None:
        """Close it; the file that holds it stays open."""
        if self._finalizer is not None:
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _root(self) -> h5py.File:
        """libhdf5's handle; not opened before it is needed."""
        with self._guarded("the HDF5 file cannot be opened"):
            # A file-like driver keeps to the descriptor that was opened and hashed. Its object
            # must outlive the library's handle, at the interpreter's exit too.
            h5 = h5py.File(self._raw, "r", driver="fileobj", rdcc_nbytes=1 << 20)
        self._finalizer = weakref.finalize(self, _close, h5, self._raw)
        if shift := h5.userblock_size:
            read = self._read
            self._headers = Headers(lambda at, n: read(shift + at, n), self.size - shift)
        return h5

    def _children(
        self, group: h5g.GroupID, path: str, seen: set[int]
    ) -> Iterator[tuple[str, h5g.GroupID | h5d.DatasetID, int]]:
        for raw in group:
            name = raw.decode("utf-8")
            link = group.links.get_info(raw)
            if link.type != h5l.TYPE_HARD:
                raise self._broken(
                    f"{path}/{name} is an external or soft link, which Keras never writes and "
                    "kerasguard does not follow"
                )
            if link.u in seen:
                raise self._broken(f"{path}/{name} is reachable by two paths")
            seen.add(link.u)
            child = h5o.open(group, raw)
            if not isinstance(child, (h5g.GroupID, h5d.DatasetID)):
                raise self._broken(f"{path}/{name} is neither a group nor a dataset")
            yield name, child, link.u

    def _describe(
        self, path: str, place: h5d.DatasetID, datasets: dict[str, StoredDataset]
    ) -> None:
        """Note a dataset, or why it is not one that Keras writes: who needs it raises then."""
        try:
            datasets[path] = describe(path, place, self.size, self._headers)
        except ValueError as error:
            self.foreign[path] = str(error)

    def refuse(self, path: str) -> None:
        """Raise for a dataset of `foreign` that should have been Keras' own."""
        if self.foreign.get(path) == NAMELESS:
            raise CheckpointError(self._path, f"{path} {NAMELESS}")
        if path in self.foreign:
            raise self._broken(f"{path} {self.foreign[path]}")

    def _placed(self, dataset: StoredDataset) -> StoredDataset:
        """With the offset in the file that holds this one, if the bytes are there as they are."""
        if dataset.offset is None or not self._in_place:
            return replace(dataset, offset=None)
        return replace(dataset, offset=dataset.offset + self._base)

    def _check_overlaps(self, datasets: dict[str, StoredDataset]) -> None:
        """Bytes told twice would make a small file a large model."""
        end, before = 0, ""
        placed = [(d.offset, d) for d in datasets.values() if d.offset is not None]
        for offset, dataset in sorted(placed, key=lambda item: item[0]):
            if offset < end:
                raise self._broken(f"{before} and {dataset.path} overlap in the file")
            end, before = offset + dataset.spec.nbytes, dataset.path

    def _check_unpacked(self, datasets: dict[str, StoredDataset]) -> None:
        """Each may be compressed as far as its filter can, but not all the file."""
        unpacked = sum(d.spec.nbytes for d in datasets.values() if d.offset is None)
        if over := excess(unpacked, unpacked_limit(self.size)):
            raise self._broken(f"its {self.size} bytes unpack to {unpacked}{over}")

    def _broken(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(self._path, f"{what}; {_COPY_AGAIN}")

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """libhdf5 tells of one and the same damage by many exception types."""
        try:
            yield
        except KerasguardError:
            raise
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
            reason = " ".join(str(error).split())
            raise self._broken(f"{what} ({reason:.200})") from error


def _close(h5: h5py.File, raw: io.IOBase) -> None:
    h5.close()
    raw.close()
