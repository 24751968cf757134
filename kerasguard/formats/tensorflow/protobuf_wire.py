"""The protocol-buffer wire format, as far as TensorFlow's files need it.

A message is a run of fields; each field is a number, a wire type and a value. What the numbers
mean is for the caller to know. Unknown fields are yielded like any other, and skipped there.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["WireError", "as_bytes", "as_number", "fields", "signed", "varint"]

Value = int | bytes

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a message; the caller knows which file and what it should have been."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned number at `at`, and the position behind it.

    Raises:
        WireError: the data ends within it or it has more than 64 bits.
    """
    result = shift = 0
    try:
        while True:
            byte = data[at]
            at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise WireError("a number has more than 64 bits")
    except IndexError:
        raise WireError("it ends within a number") from None
    if result >> 64:
        raise WireError("a number has more than 64 bits")
    return result, at


def signed(value: int) -> int:
    """An `int32` or `int64` field's value: two's complement in 64 bits."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of every field, in order: `int` for numbers, `bytes` for all else.

    Raises:
        WireError: the data is not a message.
    """
    at, size = 0, len(data)
    while at < size:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = varint(data, at - 1)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise WireError("a field has the number 0")
        if wire == _VARINT:
            value, at = varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise WireError(f"field {number} has the unknown wire type {wire}")
        end = at + length
        if end > size:
            raise WireError(f"field {number} is longer than the message")
        chunk = data[at:end]
        yield number, int.from_bytes(chunk, "little") if wire != _BYTES else chunk
        at = end


def as_number(value: Value) -> int:
    """A field's value that has to be a number.

    Raises:
        WireError: it is bytes.
    """
    if isinstance(value, bytes):
        raise WireError("a number was expected, found bytes")
    return value


def as_bytes(value: Value) -> bytes:
    """A field's value that has to be bytes: a message or a string.

    Raises:
        WireError: it is a number.
    """
    if isinstance(value, int):
        raise WireError("a message was expected, found a number")
    return value
