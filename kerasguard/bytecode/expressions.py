"""What a function computes, as a tree of frozen values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Attribute", "Binary", "Call", "Choice", "Closed", "Constant", "Expression", "Function",
    "Global", "Imported", "Item", "Items", "NotUnderstoodError", "Parameter", "Range", "Spread",
    "Unary", "parts_of", "reached",
]  # fmt: skip


class NotUnderstoodError(Exception):
    """A function does what is not read; the text names it."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a string, a tuple, None, ... that the code holds."""

    value: Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """What the function is called with."""

    name: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A variable of the function around it."""

    name: str


@dataclass(frozen=True, slots=True)
class Global:
    """A name of the module around it, or a builtin."""

    name: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A module that the function imports by itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """`owner.name`."""

    owner: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """`owner[key]`."""

    owner: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Range:
    """`start:stop:step` in an index."""

    start: Expression
    stop: Expression
    step: Expression


@dataclass(frozen=True, slots=True)
class Items:
    """A tuple or a list."""

    kind: Literal["tuple", "list"]
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`function(*arguments, **named)`."""

    function: Expression
    arguments: tuple[Expression, ...]
    named: tuple[tuple[str, Expression], ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """`*items` among the arguments of a call."""

    items: Expression


@dataclass(frozen=True, slots=True)
class Unary:
    """An operator before its operand: `-`, `+`, `~`, `not`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between its operands; also comparisons, and Python 2's division, `classic /`.

    Args:
        operator: as it is written.
        left: the first operand.
        right: the second one.
        in_place: whether it may change the first one, `+=`, for every name that holds it.
    """

    operator: str
    left: Expression
    right: Expression
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """`chosen if test else other`."""

    test: Expression
    chosen: Expression
    other: Expression


@dataclass(frozen=True, slots=True)
class Function:
    """A function or a lambda.

    Args:
        name: `<lambda>` for one without.
        parameters: names, the keyword-only ones last.
        keyword_only: how many of them are keyword-only.
        free: names of its closure.
        defaults: of the last parameters that can be given by position.
        named_defaults: of the keyword-only ones.
        body: what it returns.
        closure: for one inside another: what its free variables are there.
    """

    name: str
    parameters: tuple[str, ...]
    keyword_only: int
    free: tuple[str, ...]
    body: Expression
    defaults: tuple[Expression, ...] = ()
    named_defaults: tuple[tuple[str, Expression], ...] = ()
    closure: tuple[Expression, ...] = ()


Expression = (
    Constant | Parameter | Closed | Global | Imported | Attribute | Item | Range | Items | Call
    | Spread | Unary | Binary | Choice | Function
)  # fmt: skip


def parts_of(node: Expression) -> tuple[Expression, ...]:
    """What an expression is made of."""
    match node:
        case Attribute(owner=owner):
            return (owner,)
        case Item(owner=owner, key=key):
            return owner, key
        case Range(start=start, stop=stop, step=step):
            return start, stop, step
        case Items(items=items):
            return items
        case Call(function=function, arguments=arguments, named=named):
            return (function, *arguments, *(value for _, value in named))
        case Unary(operand=operand) | Spread(items=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return left, right
        case Choice(test=test, chosen=chosen, other=other):
            return test, chosen, other
        case Function(defaults=defaults, named_defaults=named, closure=closure):
            return (*defaults, *(value for _, value in named), *closure)
    return ()


def reached(node: Expression) -> Iterator[Expression]:
    """An expression and everything in it, each object once, not what inner functions do."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += parts_of(one)
