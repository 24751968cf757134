"""Vocabularies of lookup layers, as a SavedModel's program fills its tables with them.

Keras 2 takes a vocabulary out of the layer's config when it writes a SavedModel: a function of the
program initialises the layer's table, from constants of the graph or from a file in `assets`. The
function is not run; what it passes to the table is read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kerasguard.formats.tensorflow.object_graph import Node
from kerasguard.formats.tensorflow.protobuf_wire import fields, signed, varint

__all__ = ["Vocabulary", "vocabularies"]

_FROM_TENSORS = frozenset(("LookupTableImportV2", "InitializeTableV2"))
_FROM_FILE = "InitializeTableFromTextFileV2"
_WHOLE_LINE, _LINE_NUMBER = -2, -1
_INT32, _STRING, _INT64 = 3, 7, 9
Token = str | int


@dataclass(frozen=True)
class Vocabulary:
    """Tokens without the special ones, in the order of their indices, and the first's index."""

    tokens: tuple[Token, ...]
    start: int


def vocabularies(
    program: bytes, nodes: Sequence[Node], asset: Callable[[str], bytes | None]
) -> dict[int, Vocabulary]:
    """The vocabulary of every object that has a table, by its node.

    A table that is filled in a different way than Keras does it is left out.

    Args:
        program: the content of `saved_model.pb`.
        nodes: its saved objects.
        asset: a file in `assets` by its name; None where there is none.

    Raises:
        WireError: the program is damaged.
    """
    graph = next(part for number, part in _messages(program) if number == 2)
    reader, found = _Tables(graph), {}
    for index, node in enumerate(nodes):
        table = dict(node.children).get("lookup_table")
        start = None if table is None else dict(nodes[table].children).get("_initialize")
        try:
            pairs = None if start is None else reader.pairs(start, asset)
        except UnicodeDecodeError:
            continue  # tokens in an encoding of their own
        if pairs and (vocabulary := _in_order(pairs)):
            found[index] = vocabulary
    return found


def _in_order(pairs: Sequence[tuple[Token, Token]]) -> Vocabulary | None:
    """Tokens by index; an inverted table has the indices first."""
    inverted = all(isinstance(key, int) for key, _ in pairs) and any(
        isinstance(value, str) for _, value in pairs
    )
    by_index = sorted((key, value) if inverted else (value, key) for key, value in pairs)
    start = by_index[0][0]
    if not isinstance(start, int) or start < 0:
        return None
    if [index for index, _ in by_index] != list(range(start, start + len(by_index))):
        return None
    return Vocabulary(tuple(token for _, token in by_index), start)


class _Tables:
    """How a meta graph's functions fill tables."""

    def __init__(self, graph: bytes) -> None:
        self._parts: dict[int, list[bytes]] = {}
        for number, value in _messages(graph):
            self._parts.setdefault(number, []).append(value)

    def pairs(
        self, function: int, asset: Callable[[str], bytes | None]
    ) -> list[tuple[Token, Token]] | None:
        """Keys and values that the function at a node puts into its table."""
        name, bound = self._concrete(function)
        inside = self._functions.get(name)
        if inside is None:
            return None
        arguments, body = inside
        told = dict(zip(arguments, bound, strict=False))
        for node in body:
            sources = [told.get(i.split(":")[0].lstrip("^"), -1) for i in node.inputs]
            if node.op in _FROM_TENSORS and len(sources) == 3:
                keys, values = self._constant(sources[1]), self._constant(sources[2])
                if keys and values and len(keys) == len(values):
                    return list(zip(keys, values, strict=True))
            elif node.op == _FROM_FILE and len(sources) == 2:
                content = asset(self._asset_name(sources[1]))
                return None if content is None else _lines(content, node)
        return None

    def _concrete(self, index: int) -> tuple[str, list[int]]:
        """Name of the function at a node, and the nodes of what it captures."""
        parts = self._object(index)
        name = _text(parts.get(6, b"")) or _text(parts.get(8, b""))
        return name, self._bound.get(name, [])

    def _constant(self, index: int) -> list[Token]:
        operation = _text(self._object(index).get(9, b""))
        node = self._nodes.get(operation)
        value = node.attributes.get("value") if node else None
        return _tensor(dict(_messages(value)).get(8, b"")) if value else []

    def _asset_name(self, index: int) -> str:
        rank = dict(fields(self._object(index).get(5, b""))).get(1, 0)
        files = self._parts.get(6, [])
        if not isinstance(rank, int) or rank >= len(files):
            return ""
        return dict(_messages(files[rank])).get(2, b"").decode()

    def _object(self, index: int) -> dict[int, bytes]:
        return dict(_messages(self._objects[index])) if 0 <= index < len(self._objects) else {}

    @cached_property
    def _objects(self) -> list[bytes]:
        return [v for part in self._parts.get(7, []) for n, v in _messages(part) if n == 1]

    @cached_property
    def _bound(self) -> dict[str, list[int]]:
        found = {}
        for part in self._parts.get(7, []):
            for number, entry in _messages(part):
                if number == 2:
                    pair = dict(_messages(entry))
                    bound = (v for n, v in fields(pair.get(2, b"")) if n == 2)
                    found[pair.get(1, b"").decode()] = [i for v in bound for i in _numbers(v)]
        return found

    @cached_property
    def _nodes(self) -> dict[str, _Node]:
        nodes = (_Node.of(v) for g in self._parts.get(2, []) for n, v in _messages(g) if n == 1)
        return {node.name: node for node in nodes}

    @cached_property
    def _functions(self) -> dict[str, tuple[list[str], list[_Node]]]:
        """By name, the arguments' names and the body."""
        found = {}
        libraries = (v for g in self._parts.get(2, []) for n, v in _messages(g) if n == 2)
        for function in (v for lib in libraries for n, v in _messages(lib) if n == 1):
            parts = list(_messages(function))
            signature = list(_messages(next((v for n, v in parts if n == 1), b"")))
            name = next((v.decode() for n, v in signature if n == 1), "")
            arguments = [dict(_messages(v)).get(1, b"").decode() for n, v in signature if n == 2]
            found[name] = arguments, [_Node.of(v) for n, v in parts if n == 3]
        return found


@dataclass(frozen=True)
class _Node:
    """A node of a graph."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, bytes]

    @staticmethod
    def of(data: bytes) -> _Node:
        parts = list(_messages(data))
        told = dict(parts)
        attributes = (dict(_messages(value)) for number, value in parts if number == 5)
        return _Node(
            told.get(1, b"").decode(),
            told.get(2, b"").decode(),
            tuple(value.decode() for number, value in parts if number == 3),
            {a.get(1, b"").decode(): a.get(2, b"") for a in attributes},
        )

    def number(self, name: str) -> int:
        """An attribute that is a number, 0 by default."""
        value = dict(fields(self.attributes.get(name, b""))).get(3, 0)
        return signed(value) if isinstance(value, int) else 0


def _lines(content: bytes, node: _Node) -> list[tuple[Token, Token]] | None:
    """A file with a token a line, whose number is its index; or the other way round."""
    columns = node.number("key_index"), node.number("value_index")
    offset = node.number("offset")
    tokens = content.decode().removesuffix("\n").split("\n")
    if columns == (_WHOLE_LINE, _LINE_NUMBER):
        return [(token, rank + offset) for rank, token in enumerate(tokens)]
    if columns == (_LINE_NUMBER, _WHOLE_LINE):
        return [(rank + offset, token) for rank, token in enumerate(tokens)]
    return None


def _tensor(data: bytes) -> list[Token]:
    """The elements of a constant of strings or integers; empty for any other."""
    parts = list(fields(data))
    told = dict(parts)
    kind, content = told.get(1), told.get(4, b"")
    size = _size(told.get(2, b""))
    if isinstance(content, bytes) and content and kind in (_INT32, _INT64):
        width = 4 if kind == _INT32 else 8
        return list(struct.unpack(f"<{len(content) // width}{'i' if width == 4 else 'q'}", content))
    elements: list[Token] = []
    if kind == _STRING:
        elements = [v.decode() for n, v in parts if n == 8 and isinstance(v, bytes)]
    elif kind in (_INT32, _INT64):
        number = 7 if kind == _INT32 else 10
        elements = [signed(i) for n, v in parts if n == number for i in _numbers(v)]
    # the last element stands for all that follow
    return elements + elements[-1:] * (size - len(elements))


def _size(shape: int | bytes) -> int:
    size = 1
    for number, dimension in _messages(shape if isinstance(shape, bytes) else b""):
        if number == 2:
            extent = dict(fields(dimension)).get(1, 0)
            size *= extent if isinstance(extent, int) else 0
    return size


def _numbers(value: int | bytes) -> Iterator[int]:
    """A repeated number, packed or not."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = varint(value, at)
        yield number


def _text(data: bytes) -> str:
    """The first field of a message, a string."""
    return dict(_messages(data)).get(1, b"").decode()


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields that are not numbers."""
    for number, value in fields(data):
        if isinstance(value, bytes):
            yield number, value
