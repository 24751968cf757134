"""Attributes of HDF5 objects, read without libhdf5 where it cannot be trusted.

A text of variable length lies in a global heap. One flipped bit there makes libhdf5 (1.14.6 and
before, at least) follow the heap's chain of objects for ever, or allocate the 4 GiB that a
damaged length asks for. So such texts are found by reading the object's header and the heap
here. Everything else has a size that is known beforehand, and libhdf5 reads it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from h5py import h5a, h5o, h5t

__all__ = ["Attributes", "text"]

_Read = Callable[[int, int], bytes]

_PLAIN = (h5t.INTEGER, h5t.FLOAT, h5t.STRING)
_HEAP = struct.Struct("<4sB3xQ")
_HEAP_OBJECT = struct.Struct("<HHLQ")
_REFERENCE = struct.Struct("<LQL")
_CONTINUATION, _ATTRIBUTE = 0x10, 0x0C
_MAX_BYTES = 64 << 20
_MAX_CHUNKS = 1000


class Attributes:
    """The attributes of one HDF5 file's objects.

    Args:
        read: (address, length) -> exactly that many bytes of the file, or raises.
    """

    def __init__(self, read: _Read) -> None:
        self._read = read
        self._heaps: dict[int, dict[int, bytes]] = {}

    def get(self, place: Any, name: str, address: int | None = None) -> Any:
        """Text, number or array of texts or numbers; None where there is none of these.

        Args:
            place: h5py's low-level object.
            name: of the attribute.
            address: of the object's header, where it is known already.

        Raises:
            ValueError: it is damaged; h5py's own exceptions likewise.
        """
        raw = name.encode()
        if not h5a.exists(place, raw):
            return None
        found = h5a.open(place, raw)
        kind, shape = found.get_type(), found.shape or ()
        if kind.get_class() not in _PLAIN:
            return None
        if math.prod(shape) * kind.get_size() > _MAX_BYTES:
            raise ValueError(f"attribute {name!r} is larger than {_MAX_BYTES} bytes")
        if kind.get_class() == h5t.STRING and kind.is_variable_str():
            if address is None:
                address = h5o.get_info(place).addr
            texts = self._texts(address, raw, math.prod(shape))
            return texts[0] if shape == () else np.array(texts, object).reshape(shape)
        array = np.empty(shape, found.dtype)
        if array.size:  # h5py takes a storage size of 0 for an error
            found.read(array, mtype=h5t.py_create(found.dtype))
        return array[()]

    def _texts(self, address: int, name: bytes, count: int) -> list[str]:
        for data in self._values(address, name):
            if len(data) >= count * _REFERENCE.size:
                references = _REFERENCE.iter_unpack(data[: count * _REFERENCE.size])
                return [self._text(*reference) for reference in references]
        raise ValueError(f"attribute {name.decode()!r} is not in the object's header")

    def _text(self, length: int, heap: int, index: int) -> str:
        if not length:
            return ""
        if heap not in self._heaps:
            self._heaps[heap] = dict(self._objects(heap))
        data = self._heaps[heap].get(index, b"")
        if len(data) < length:
            raise ValueError(f"a text of {length} bytes is not in the heap at byte {heap}")
        return data[:length].rstrip(b"\0").decode("utf-8")

    def _objects(self, address: int) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each object in a global heap."""
        mark, version, size = _HEAP.unpack(self._read(address, _HEAP.size))
        if mark != b"GCOL" or version != 1 or size > _MAX_BYTES:
            raise ValueError(f"there is no heap at byte {address}")
        heap, at = self._read(address, size), _HEAP.size
        while at + _HEAP_OBJECT.size <= size:
            index, _, _, length = _HEAP_OBJECT.unpack_from(heap, at)
            if index == 0:  # the free space, always the last
                return
            at += _HEAP_OBJECT.size
            if at + length > size:
                raise ValueError(f"the heap at byte {address} is damaged at byte {address + at}")
            yield index, heap[at : at + length]
            at += -(-length // 8) * 8

    def _values(self, address: int, name: bytes) -> Iterator[bytes]:
        """The stored bytes of the attributes of that name in an object's header."""
        for kind, body in self._messages(address):
            if kind != _ATTRIBUTE or len(body) < 9:
                continue
            version, _, name_size, type_size, space_size = struct.unpack_from("<BBHHH", body)
            at = 9 if version == 3 else 8
            if body[at : at + name_size].rstrip(b"\0") == name:
                sizes = (name_size, type_size, space_size)
                yield body[at + sum(-(-n // 8) * 8 if version == 1 else n for n in sizes) :]

    def _messages(self, address: int) -> Iterator[tuple[int, bytes]]:
        """Type and body of each message in an object's header, versions 1 and 2."""
        start = self._read(address, 16)
        if start[:4] == b"OHDR":
            flags, at = start[5], 6 + 16 * bool(start[5] & 0x20) + 4 * bool(start[5] & 0x10)
            width = 1 << (flags & 3)
            length = int.from_bytes(self._read(address + at, width), "little")
            chunks = [(address + at + width, length)]
            head, tail = 6 if flags & 4 else 4, 4
        elif start[0] == 1:
            chunks = [(address + 16, int.from_bytes(start[8:12], "little"))]
            flags, head, tail = 0, 8, 0
        else:
            raise ValueError(f"there is no object header at byte {address}")
        for number, (place, length) in enumerate(chunks):
            if number > _MAX_CHUNKS or length > _MAX_BYTES:
                raise ValueError(f"the object header at byte {address} is too long")
            chunk = self._read(place, length)
            # Chunks after the first carry their own mark and checksum in version 2.
            begin, end = (4, length - tail) if number and tail else (0, length)
            for kind, body in _split(chunk[begin:end], head):
                if kind == _CONTINUATION and len(body) >= 16:
                    chunks.append(struct.unpack_from("<QQ", body))
                yield kind, body


def text(value: Any) -> str:
    """An attribute's text; empty for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _split(chunk: bytes, head: int) -> Iterator[tuple[int, bytes]]:
    """Messages in one chunk of a header; `head` bytes come before each body."""
    at = 0
    while at + head <= len(chunk):
        if head == 8:
            kind, size = struct.unpack_from("<HH", chunk, at)
        else:
            kind, size = struct.unpack_from("<BH", chunk, at)
        yield kind, chunk[at + head : at + head + size]
        at += head + size
