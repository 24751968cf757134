"""Words for people: nothing that a terminal acts on, and numbers that agree with their nouns."""

from __future__ import annotations

__all__ = ["counted", "printable"]


def printable(text: object) -> str:
    """`text` with everything that a terminal would act on written as an escape; newlines stay."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
        for c in str(text)
    )


def counted(number: int, noun: str) -> str:
    """`1 place`, `2 places`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
