"""Marshalled code objects of CPython 2.7 and 3.4 to 3.13, parsed with budgets.

Marshal tells no version, and code objects have four layouts: `parse` reads one of them. Only what
a function's code may hold is read: numbers, strings, tuples, frozen sets and code. A reference
counts as much as what it refers to, so that a small file cannot stand for something huge.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from kerasguard.bytecode.code_layouts import Code, Layout

__all__ = ["MalformedError", "parse"]

_MOST_BYTES = 1 << 18
_MOST_PARTS = 20_000
_DEEPEST = 40
_MOST_DIGITS = 64
_REFERABLE = 0x80
_LOCAL, _CELL, _FREE = 0x20, 0x40, 0x80


class MalformedError(Exception):
    """These bytes are not code of that version; the text says why."""


def parse(data: bytes, layout: Layout) -> Code:
    """The code object that some bytes are in one layout.

    Raises:
        MalformedError: they are none, or exceed a budget.
    """
    if len(data) > _MOST_BYTES:
        raise MalformedError(f"{len(data)} bytes are more than any function has")
    reader = _Reader(data, layout)
    found = reader.value(0)
    if not isinstance(found, Code):
        raise MalformedError("the bytes are not a code object")
    if reader.position != len(data):
        raise MalformedError("bytes follow the code object")
    return found


_PENDING = object()


class _Reader:
    """Reads one value after the other; what a value costs is what it stands for."""

    def __init__(self, data: bytes, layout: Layout) -> None:
        self.data, self.layout = data, layout
        self.position = self.parts = 0
        self.old = layout.versions[0][0] == 2
        self.referable: list[tuple[Any, int]] = []
        self.interned: list[bytes] = []

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.position:
            raise MalformedError(f"the data end within {count} bytes at {self.position}")
        self.position += count
        return self.data[self.position - count : self.position]

    def number(self) -> int:
        return int.from_bytes(self.take(4), "little", signed=True)

    def count(self) -> int:
        """A number of parts, each of which takes a byte at least."""
        found = self.number()
        if not 0 <= found <= len(self.data) - self.position:
            raise MalformedError(f"{found} parts do not fit into the data")
        return found

    def spend(self, parts: int) -> None:
        self.parts += parts
        if self.parts > _MOST_PARTS:
            raise MalformedError(f"it expands to more than {_MOST_PARTS} values")

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise MalformedError(f"values are nested more than {_DEEPEST} deep")
        before = self.parts
        self.spend(1)
        kind = self.take(1)[0]
        referable = not self.old and kind & _REFERABLE
        kind &= kind if self.old else ~_REFERABLE
        place = len(self.referable)
        if referable:
            self.referable.append((_PENDING, 0))
        read = _KINDS.get(chr(kind))
        if read is None:
            raise MalformedError(f"a value of kind {chr(kind)!r}")
        found = read(self, depth + 1)
        if referable:
            self.referable[place] = found, self.parts - before
        return found

    def several(self, count: int, depth: int) -> tuple[Any, ...]:
        return tuple([self.value(depth) for _ in range(count)])

    def reference(self) -> Any:
        number = self.number()
        if not 0 <= number < len(self.referable) or self.referable[number][0] is _PENDING:
            raise MalformedError(f"reference {number} points to an incomplete value")
        found, parts = self.referable[number]
        self.spend(parts)
        return found

    def interned_bytes(self) -> bytes:
        self.interned.append(self.take(self.count()))
        return self.interned[-1]

    def interned_reference(self) -> bytes:
        number = self.number()
        if not self.old or not 0 <= number < len(self.interned):
            raise MalformedError(f"interned string {number} does not exist")
        return self.interned[number]

    def integer(self) -> int:
        """A long integer: digits of 15 bits, the sign on their number."""
        count = self.number()
        if abs(count) > _MOST_DIGITS:
            raise MalformedError(f"an integer of {abs(count)} digits")
        digits = struct.unpack(f"<{abs(count)}H", self.take(2 * abs(count)))
        if any(digit >> 15 for digit in digits):
            raise MalformedError("an integer with a digit that is too large")
        size = sum(digit << 15 * place for place, digit in enumerate(digits))
        return int(-size if count < 0 else size)

    def real(self) -> float:
        found: float = struct.unpack("<d", self.take(8))[0]
        return found

    def written_real(self) -> float:
        text = self.take(self.take(1)[0])
        try:
            return float(text)
        except ValueError:
            raise MalformedError(f"{text!r} is not a number") from None

    def text(self, count: int, encoding: str) -> str:
        try:
            return self.take(count).decode(encoding, "surrogatepass")
        except UnicodeDecodeError as error:
            raise MalformedError(f"a string is not {encoding}: {error.reason}") from None

    def code(self, depth: int) -> Code:
        layout = self.layout
        positional = self.number()
        if layout.positional_only and not 0 <= self.number() <= positional:
            raise MalformedError("more parameters are positional-only than positional")
        keyword_only = self.number() if layout.keyword_only else 0
        if not layout.joined:
            self.number()  # of variables, which are listed
        stack, flags = self.number(), self.number()
        code = _is(bytes, self.value(depth), "instructions")
        constants = _is(tuple, self.value(depth), "constants")
        names = self.strings(depth)
        if layout.joined:
            every = self.strings(depth)
            kinds = _is(bytes, self.value(depth), "kinds of variables")
            if len(kinds) != len(every):
                raise MalformedError("a variable has no kind")
            variables = cells = every
            free = tuple(n for n, k in zip(every, kinds, strict=True) if k & _FREE)
            parameters = every[: positional + keyword_only]
        else:
            variables, free, own = (self.strings(depth) for _ in range(3))
            cells, parameters = (*own, *free), variables[: positional + keyword_only]
        filename, name = self.string(depth), self.string(depth)
        if layout.joined:
            self.string(depth)  # the qualified name
        self.number()  # of the first line
        lines = _is(bytes, self.value(depth), "lines")
        guarded = layout.joined and bool(_is(bytes, self.value(depth), "exceptions"))
        if min(positional, keyword_only, stack) < 0 or len(parameters) != positional + keyword_only:
            raise MalformedError("its parameters have no names")
        return Code(
            name, parameters[:positional], parameters[positional:], flags, stack, code,
            constants, names, variables, cells, free, filename, lines, guarded,
        )  # fmt: skip

    def string(self, depth: int) -> str:
        return self.named(self.value(depth))

    def strings(self, depth: int) -> tuple[str, ...]:
        return tuple(self.named(x) for x in _is(tuple, self.value(depth), "names"))

    def named(self, value: Any) -> str:
        if self.old and isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return str(_is(str, value, "a name"))


def _is(kind: type, value: Any, what: str) -> Any:
    if not isinstance(value, kind):
        raise MalformedError(f"the {what} are of type {type(value).__name__}")
    return value


_KINDS: dict[str, Callable[[_Reader, int], Any]] = {
    "N": lambda _, __: None,
    "F": lambda _, __: False,
    "T": lambda _, __: True,
    ".": lambda _, __: Ellipsis,
    "i": lambda reader, _: reader.number(),
    "I": lambda reader, _: int.from_bytes(reader.take(8), "little", signed=True),
    "l": lambda reader, _: reader.integer(),
    "f": lambda reader, _: reader.written_real(),
    "g": lambda reader, _: reader.real(),
    "x": lambda reader, _: complex(reader.written_real(), reader.written_real()),
    "y": lambda reader, _: complex(reader.real(), reader.real()),
    "s": lambda reader, _: reader.take(reader.count()),
    "t": lambda r, _: r.interned_bytes() if r.old else r.text(r.count(), "utf-8"),
    "R": lambda reader, _: reader.interned_reference(),
    "u": lambda reader, _: reader.text(reader.count(), "utf-8"),
    "a": lambda reader, _: reader.text(reader.count(), "ascii"),
    "A": lambda reader, _: reader.text(reader.count(), "ascii"),
    "z": lambda reader, _: reader.text(reader.take(1)[0], "ascii"),
    "Z": lambda reader, _: reader.text(reader.take(1)[0], "ascii"),
    "r": lambda reader, _: reader.reference(),
    "(": lambda reader, depth: reader.several(reader.count(), depth),
    ")": lambda reader, depth: reader.several(reader.take(1)[0], depth),
    ">": lambda reader, depth: _frozen(reader.several(reader.count(), depth)),
    "c": lambda reader, depth: reader.code(depth),
}


def _frozen(items: tuple[Any, ...]) -> frozenset[Any]:
    if not all(isinstance(x, (int, float, str, bytes, type(None))) for x in items):
        raise MalformedError("a frozen set of more than numbers and strings")
    return frozenset(items)
