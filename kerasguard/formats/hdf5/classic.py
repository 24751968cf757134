"""Walk an HDF5 file of the one kind that Keras writes by default, without libhdf5.

That is: the oldest version of the superblock and of the object headers, groups as symbol tables,
datasets in one piece. It is five times as fast, and safe on hostile files by construction. On
anything else, damage included, `classic_walk` gives up, and libhdf5 decides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NoReturn

from kerasguard.formats.hdf5.dataset import FLOATS, StoredDataset
from kerasguard.formats.hdf5.headers import (
    ATTRIBUTE,
    AttributeMessage,
    Headers,
    Message,
    parse_attribute,
)
from kerasguard.storage.budget import check_shape
from kerasguard.tensors import TensorSpec

__all__ = ["Unusual", "classic_walk", "root_names"]

_SUPERBLOCK = struct.Struct("<8sLBBBx8xQ8xQQ8xQL")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = (1 << 64) - 1
_SPACE, _TYPE, _LAYOUT, _GROUP = 0x01, 0x03, 0x08, 0x11
# NIL, old and new fill values, comments and times say nothing that matters here.
_HARMLESS = {0x00, 0x04, 0x05, 0x0D, 0x0E, 0x10, 0x12}
_ONCE = {_SPACE, _TYPE, _LAYOUT, _GROUP}
_MAX_DEPTH, _MAX_RANK = 100, 32


class Unusual(Exception):  # noqa: N818  # no error: a question for libhdf5
    """The file is of another kind, or damaged."""


def classic_walk(headers: Headers) -> tuple[dict[str, str], dict[str, StoredDataset]]:
    """All groups by path, with the text of their `name` attribute or "", and all datasets.

    Args:
        headers: of a file without a user block.

    Raises:
        Unusual: libhdf5 must be asked.
    """
    try:
        return _Walk(headers).run()
    except (ValueError, struct.error, IndexError, KeyError) as error:
        raise Unusual from error


def root_names(headers: Headers) -> set[str]:
    """Names of the root's attributes and of what lies directly in it; raises as the walk."""
    try:
        walk = _Walk(headers)
        messages = walk.parts(walk.root())
        names = {part.name.decode() for m in messages if (part := _attribute(m))}
        return names | {name for name, _ in walk.members(messages)}
    except (ValueError, struct.error, IndexError, KeyError) as error:
        raise Unusual from error


def _integer(body: bytes, bits: int, size: int) -> str:
    """Dtype of a whole number that fills its bytes."""
    offset, precision = struct.unpack_from("<HH", body, 8)
    if offset or precision != 8 * size or size not in (1, 2, 4, 8):
        _give_up()
    return f"{'' if bits & 8 else 'u'}int{precision}"


def _ieee(body: bytes, bits: int, more: int, size: int) -> str:
    """Dtype of a floating point number whose parts lie where IEEE has them.

    These are sign, exponent and mantissa; the leading one is not stored.
    """
    *places, bias = struct.unpack_from("<HHBBBBL", body, 8)
    exponent, mantissa = places[3], places[5]
    wanted = [0, 8 * size, mantissa, exponent, 0, mantissa, (1 << exponent - 1) - 1]
    if [*places, bias, bits & 0x3E, more] != [*wanted, 0x20, 8 * size - 1]:
        _give_up()
    return FLOATS[size, exponent, mantissa]


class _Walk:
    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._seen: set[int] = set()

    def run(self) -> tuple[dict[str, str], dict[str, StoredDataset]]:
        groups: dict[str, str] = {}
        datasets: dict[str, StoredDataset] = {}
        todo = [("", self.root())]
        while todo:
            path, address = todo.pop()
            messages = self.parts(address)
            if any(m.kind == _GROUP for m in messages):
                if path.count("/") > _MAX_DEPTH:
                    _give_up()
                groups[path] = self._text(messages, b"name")
                inside = {f"{path}/{n}".lstrip("/"): a for n, a in self.members(messages)}
                todo += inside.items()
            else:
                datasets[path] = self._dataset(path, messages)
        return groups, datasets

    def root(self) -> int:
        mark, *versions, base, end, driver, address, cached = _SUPERBLOCK.unpack(
            self._headers.read(0, _SUPERBLOCK.size)
        )
        usual = (mark, *versions, base, driver) == (_SIGNATURE, 0, 0, 8, 8, 0, _UNDEFINED)
        if not usual or end > self._headers.size or cached > 1:
            _give_up()
        return int(address)

    def parts(self, address: int) -> list[Message]:
        """The messages of an object that no other path leads to."""
        self._once(address)
        version, count = struct.unpack("<BxH", self._headers.read(address, 4))
        messages = list(self._headers.messages(address))
        if version != 1 or count != len(messages) or any(len(m.body) % 8 for m in messages):
            _give_up()
        kinds = [m.kind for m in messages if m.kind in _ONCE]
        if len(kinds) != len(set(kinds)):
            _give_up()
        for message in messages:
            if message.kind not in _ONCE | _HARMLESS | {ATTRIBUTE} or (
                message.kind in _ONCE and message.flags & 2
            ):
                _give_up()
        return messages

    def members(self, messages: list[Message]) -> Iterator[tuple[str, int]]:
        """Name and address of what lies in a group."""
        body = next((m.body for m in messages if m.kind == _GROUP), None)
        if body is None:
            _give_up()
        tree, heap = struct.unpack_from("<QQ", body)
        mark, version, size, _, place = struct.unpack("<4sLQQQ", self._headers.read(heap, 32))
        if (mark, version) != (b"HEAP", 0):
            _give_up()
        names = self._headers.read(place, size)
        before = ""
        for offset, address, cached in self._entries(tree, 0):
            name = names[offset : names.index(b"\0", offset)].decode()
            # Links to elsewhere; and names out of order, which libhdf5 might not find.
            if cached not in (0, 1) or not name or "/" in name or (before and name <= before):
                _give_up()
            before = name
            yield name, address

    def _entries(self, address: int, depth: int) -> Iterator[tuple[int, int, int]]:
        """Name's place, header's address and kind of each entry below a node of a tree."""
        self._once(address)
        mark = self._headers.read(address, 4)
        if mark == b"SNOD":
            version, count = struct.unpack("<4xBxH", self._headers.read(address, 8))
            if version != 1:
                _give_up()
            yield from struct.iter_unpack("<QQL20x", self._headers.read(address + 8, 40 * count))
            return
        kind, level, count = struct.unpack("<4xBBH", self._headers.read(address, 8))
        if mark != b"TREE" or kind or depth > 30:
            _give_up()
        children = struct.iter_unpack("<8xQ", self._headers.read(address + 24, 16 * count))
        for (child,) in list(children):
            if (self._headers.read(child, 4) == b"SNOD") != (level == 0):
                _give_up()
            yield from self._entries(child, depth + 1)

    def _dataset(self, path: str, messages: list[Message]) -> StoredDataset:
        bodies = {m.kind: m.body for m in messages if m.kind in _ONCE}
        dtype, native = self._dtype(bodies[_TYPE], messages)
        spec = TensorSpec(_shape(bodies[_SPACE]), dtype)
        version, kind, address, size = struct.unpack_from("<BBQQ", bodies[_LAYOUT])
        if (version, kind) != (3, 1) or size != spec.nbytes:
            _give_up()
        if not size:
            check_shape(spec)
            return StoredDataset(path, spec, None)
        if address == _UNDEFINED or address + size > self._headers.size:
            _give_up()
        return StoredDataset(path, spec, address if native else None)

    def _dtype(self, body: bytes, messages: list[Message]) -> tuple[str, bool]:
        """The Keras dtype, and whether the stored bytes are NumPy's own."""
        first, bits, more, _, size = struct.unpack_from("<BBBBL", body)
        family, big = first & 15, bool(bits & 1)
        if size == 2 and family in (0, 5):
            told = self._text(messages, b"dtype")
            if told == "bfloat16" or (family == 5 and not told):
                return "bfloat16", family == 5 or not big
        if family == 0:
            return _integer(body, bits, size), size == 1 or not big
        if family == 8 and size == 1 and bits | more << 8 == 2:
            return "bool", True
        if family != 1 or bits & 0x40:
            _give_up()
        return _ieee(body, bits, more, size), size == 1 or not big

    def _text(self, messages: list[Message], name: bytes) -> str:
        for message in messages:
            found = _attribute(message)
            if found is None or found.name != name:
                continue
            if _shape(found.dataspace) != ():
                return ""
            family, kind = found.datatype[0] & 15, found.datatype[1] & 15
            if family == 9 and kind == 1:
                return self._headers.texts(found.data[:16])[0]
            if family == 3:
                size = int.from_bytes(found.datatype[4:8], "little")
                return found.data[:size].rstrip(b"\0 ").decode("utf-8", "replace")
            return ""
        return ""

    def _once(self, address: int) -> None:
        if address in self._seen:
            _give_up()
        self._seen.add(address)


def _attribute(message: Message) -> AttributeMessage | None:
    if message.kind != ATTRIBUTE:
        return None
    return parse_attribute(message) or _give_up()


def _shape(body: bytes) -> tuple[int, ...]:
    version, rank, _, kind = struct.unpack_from("<BBBB", body)
    if version not in (1, 2) or (version == 2 and kind == 2) or rank > _MAX_RANK:
        _give_up()
    return struct.unpack_from(f"<{rank}Q", body, 8 if version == 1 else 4)


def _give_up() -> NoReturn:
    raise Unusual
