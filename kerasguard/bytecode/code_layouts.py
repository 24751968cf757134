"""How Python's versions lay out a marshalled code object, and what is read of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Code", "LAYOUTS", "Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a range of versions writes a code object.

    Args:
        versions: the minor versions of Python 3; none for Python 2.7.
        keyword_only: whether the number of keyword-only parameters is written.
        positional_only: whether that of the positional-only ones is.
        joined: whether all variables stand in one list, with a byte each for their kinds.
    """

    versions: tuple[tuple[int, int], ...]
    keyword_only: bool
    positional_only: bool
    joined: bool


LAYOUTS = (
    Layout(((2, 7),), keyword_only=False, positional_only=False, joined=False),
    Layout(
        ((3, 4), (3, 5), (3, 6), (3, 7)), keyword_only=True, positional_only=False, joined=False
    ),
    Layout(((3, 8), (3, 9), (3, 10)), keyword_only=True, positional_only=True, joined=False),
    Layout(((3, 11), (3, 12), (3, 13)), keyword_only=True, positional_only=True, joined=True),
)


@dataclass(frozen=True, slots=True)
class Code:
    """A code object.

    Args:
        name: the function's.
        parameters: names of the positional parameters.
        keyword_only: names of the others.
        flags: CPython's `co_flags`.
        stack: how deep its stack gets.
        code: the instructions.
        constants: what they use: numbers, strings, tuples, code.
        names: of attributes and globals.
        variables: what `LOAD_FAST` counts.
        cells: what `LOAD_DEREF` counts.
        free: names of the variables of the function around it, in the order of its closure.
        filename: where it was written.
        lines: the table of line numbers, in the version's own encoding.
        guarded: whether it has a table of exceptions that it handles, since 3.11.
    """

    name: str
    parameters: tuple[str, ...]
    keyword_only: tuple[str, ...]
    flags: int
    stack: int
    code: bytes
    constants: tuple[Any, ...]
    names: tuple[str, ...]
    variables: tuple[str, ...]
    cells: tuple[str, ...]
    free: tuple[str, ...]
    filename: str
    lines: bytes
    guarded: bool
