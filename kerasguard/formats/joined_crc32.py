"""The CRC-32 of two stretches of bytes together, from those of each."""

from __future__ import annotations

__all__ = ["joined_crc32"]


def joined_crc32(first: int, second: int, length: int) -> int:
    """The CRC-32 of two byte strings in a row, from theirs; `length` is that of the second.

    A CRC is a remainder of polynomials over two elements; appending n bits multiplies by x^n.
    """
    factor, power, bits = 1 << 31, 1 << 30, 8 * length
    while bits:
        if bits & 1:
            factor = _product(factor, power)
        power, bits = _product(power, power), bits >> 1
    return _product(factor, first) ^ second


def _product(a: int, b: int) -> int:
    """Of two polynomials, modulo the CRC's; the highest bit is the constant term."""
    result = 0
    for shift in range(31, -1, -1):
        if a >> shift & 1:
            result ^= b
        b = b >> 1 ^ (0xEDB88320 if b & 1 else 0)
    return result
