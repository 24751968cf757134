"""Object headers and heaps of an HDF5 file, read without libhdf5.

libhdf5 is written for files that it wrote. One flipped bit in a heap makes it (1.14.6 and before,
at least) follow the heap's chain of objects for ever, or allocate the 4 GiB that a damaged length
asks for. Here every length is held against what is there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kerasguard.storage.budget import excess

__all__ = ["ATTRIBUTE", "AttributeMessage", "Headers", "Message", "parse_attribute"]

_HEAP = struct.Struct("<4sB3xQ")
_HEAP_OBJECT = struct.Struct("<HHLQ")
_REFERENCE = struct.Struct("<LQL")
_CONTINUATION, ATTRIBUTE = 0x10, 0x0C
_SHARED = 2
_PAGE = 1 << 12
_MAX_PAGES = 1 << 14
_MAX_BYTES = 64 << 20
_MAX_CHUNKS = 1000


class Message(NamedTuple):
    """One message of an object's header: its type, flags and body."""

    kind: int
    flags: int
    body: bytes


class AttributeMessage(NamedTuple):
    """An attribute as a header holds it: its name, datatype, dataspace and data."""

    name: bytes
    datatype: bytes
    dataspace: bytes
    data: bytes


class Headers:
    """The metadata of one HDF5 file whose addresses and lengths take 8 bytes.

    Args:
        read: (address, length) -> exactly that many bytes of the file, or raises.
        size: of the file in bytes.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self.size = read, size
        self._pages: dict[int, bytes] = {}
        self._heaps: dict[int, dict[int, bytes]] = {}

    def read(self, address: int, length: int) -> bytes:
        """Bytes of the file; neighbouring ones are kept, because metadata lies close together.

        Raises:
            ValueError: they lie outside the file.
        """
        if address + length > self.size:
            raise ValueError(f"bytes {address}..{address + length} are outside the file")
        if over := excess(length, _MAX_BYTES):
            raise ValueError(f"{length} bytes in one piece{over}")
        first, last = address // _PAGE, (address + length - 1) // _PAGE
        if last - first > 4:
            return self._read(address, length)
        pages = b"".join([self._page(number) for number in range(first, last + 1)])
        start = address - first * _PAGE
        return pages[start : start + length]

    def messages(self, address: int) -> Iterator[Message]:
        """The messages in the header of the object at `address`, headers of version 1 and 2."""
        start = self.read(address, 16)
        if start[:4] == b"OHDR":
            flags, at = start[5], 6 + 16 * bool(start[5] & 0x20) + 4 * bool(start[5] & 0x10)
            width = 1 << (flags & 3)
            length = int.from_bytes(self.read(address + at, width), "little")
            chunks = [(address + at + width, length)]
            head, tail = 6 if flags & 4 else 4, 4
        elif start[0] == 1:
            chunks = [(address + 16, int.from_bytes(start[8:12], "little"))]
            head, tail = 8, 0
        else:
            raise ValueError(f"there is no object header at byte {address}")
        for number, (place, length) in enumerate(chunks):
            if over := excess(number, _MAX_CHUNKS):
                raise ValueError(f"the object header at byte {address} has {number} parts{over}")
            chunk = self.read(place, length)
            # In version 2, chunks after the first carry a mark and a checksum of their own.
            for message in _split(chunk[4 : length - tail] if number and tail else chunk, head):
                if message.kind == _CONTINUATION and len(message.body) >= 16:
                    chunks.append(struct.unpack_from("<QQ", message.body))
                yield message

    def texts(self, data: bytes) -> list[str]:
        """The texts that references in an attribute's data stand for.

        Raises:
            ValueError: a heap is damaged or does not hold one of them.
        """
        usable = data[: len(data) // _REFERENCE.size * _REFERENCE.size]
        return [self._text(*reference) for reference in _REFERENCE.iter_unpack(usable)]

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            if len(self._pages) >= _MAX_PAGES:
                self._pages.clear()
            start = number * _PAGE
            page = self._pages[number] = self._read(start, min(_PAGE, self.size - start))
        return page

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
        mark, version, size = _HEAP.unpack(self.read(address, _HEAP.size))
        if mark != b"GCOL" or version != 1:
            raise ValueError(f"there is no heap at byte {address}")
        heap, at = self.read(address, size), _HEAP.size
        while at + _HEAP_OBJECT.size <= size:
            index, _, _, length = _HEAP_OBJECT.unpack_from(heap, at)
            if index == 0:  # the free space, always the last
                return
            at += _HEAP_OBJECT.size
            if at + length > size:
                raise ValueError(f"the heap at byte {address} is damaged at byte {address + at}")
            yield index, heap[at : at + length]
            at += -(-length // 8) * 8


def parse_attribute(message: Message) -> AttributeMessage | None:
    """An attribute's parts; None where another object holds some of them."""
    body = message.body
    if message.flags & _SHARED or len(body) < 9:
        return None
    version, flags, *sizes = struct.unpack_from("<BBHHH", body)
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        return None
    parts, at = [], 9 if version == 3 else 8
    for size in sizes:
        parts.append(body[at : at + size])
        at += -(-size // 8) * 8 if version == 1 else size
    return AttributeMessage(parts[0].rstrip(b"\0"), parts[1], parts[2], body[at:])


def _split(chunk: bytes, head: int) -> Iterator[Message]:
    """Messages in one chunk of a header; `head` bytes come before each body."""
    at = 0
    while at + head <= len(chunk):
        if head == 8:
            kind, size, flags = struct.unpack_from("<HHB", chunk, at)
        else:
            kind, size, flags = struct.unpack_from("<BHB", chunk, at)
        yield Message(kind, flags, chunk[at + head : at + head + size])
        at += head + size
