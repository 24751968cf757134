"""What a function is while it is carried out along one path, and the budgets of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from kerasguard.bytecode.code_layouts import Code
from kerasguard.bytecode.expressions import (
    Call,
    Constant,
    Expression,
    Function,
    NotUnderstoodError,
    parts_of,
)
from kerasguard.bytecode.instructions import Instruction
from kerasguard.bytecode.marshalled import MalformedError
from kerasguard.bytecode.opcodes import Version

__all__ = ["Frame", "Handler", "Null", "Work", "popped", "pushed", "values"]

_MOST_STEPS = 6_000
_MOST_PARTS = 4_000
_DEEPEST = 120


@dataclass(frozen=True, slots=True)
class Null:
    """What the interpreter puts beside a function that is not a method."""


@dataclass(slots=True)
class Frame:
    """A function while it is carried out along one path.

    Args:
        code: of the function.
        version: of CPython.
        work: what all paths share.
        inner: what a function inside it computes.
        stack: of expressions.
        local: what its variables hold, by name.
        captured: variables that a function inside it uses; they must stay as they are.
        names: of the keyword arguments of the next call.
    """

    code: Code
    version: Version
    work: Work
    inner: Callable[[Code], Function]
    stack: list[Any] = field(default_factory=list)
    local: dict[str, Expression] = field(default_factory=dict)
    captured: set[str] = field(default_factory=set)
    names: tuple[str, ...] = ()

    def constant(self, number: int) -> Any:
        """A constant of the code."""
        return _at(self.code.constants, number, "constant")

    def name(self, number: int) -> str:
        """A global or an attribute."""
        return str(_at(self.code.names, number, "name"))

    def variable(self, number: int) -> str:
        """A local variable."""
        return str(_at(self.code.variables, number, "variable"))

    def cell(self, number: int) -> str:
        """A variable that functions share."""
        return str(_at(self.code.cells, number, "cell"))

    def made(self, node: Expression) -> Expression:
        """A node, after a look at how large it is."""
        self.work.weigh(node)
        return node

    def copied(self) -> Frame:
        """The same at the beginning of another path."""
        return replace(
            self, stack=list(self.stack), local=dict(self.local), captured=set(self.captured)
        )


class _Weight(NamedTuple):
    parts: int
    depth: int


@dataclass(slots=True)
class Work:
    """The budgets of one reading, and the calls that were met."""

    steps: int = 0
    weights: dict[int, tuple[_Weight, Expression]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def step(self) -> None:
        """One instruction more."""
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise NotUnderstoodError("too many ways through it")

    def weigh(self, node: Expression) -> _Weight:
        """How large an expression is when written out."""
        if id(node) in self.weights:
            return self.weights[id(node)][0]
        below = [self.weigh(part) for part in parts_of(node)]
        own = 1 + (_length(node.value) // 8 if isinstance(node, Constant) else 0)
        found = _Weight(
            own + sum(one.parts for one in below), 1 + max((x.depth for x in below), default=0)
        )
        if found.parts > _MOST_PARTS or found.depth > _DEEPEST:
            raise NotUnderstoodError(f"an expression of more than {_MOST_PARTS} parts")
        self.weights[id(node)] = found, node
        if isinstance(node, Call):
            self.calls.append(node)
        return found


def _length(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(8 + _length(x) for x in value)
    if isinstance(value, int):
        return value.bit_length() // 4
    return len(value) if isinstance(value, (str, bytes, frozenset)) else 0


def _at(items: tuple[Any, ...], number: int, what: str) -> Any:
    if number >= len(items):
        raise MalformedError(f"{what} {number} does not exist")
    return items[number]


def pushed(frame: Frame, node: Expression | Null) -> None:
    """Put something on the stack."""
    frame.stack.append(node if isinstance(node, Null) else frame.made(node))
    if len(frame.stack) > frame.code.stack:
        raise MalformedError("the stack gets deeper than the code says")


def popped(frame: Frame, count: int = 1) -> list[Any]:
    """Take expressions off the stack; they come in the order in which they were put there."""
    if count > len(frame.stack):
        raise MalformedError("the stack is empty")
    cut = len(frame.stack) - count
    taken, frame.stack[cut:] = frame.stack[cut:], []
    return taken


def values(frame: Frame, count: int) -> list[Expression]:
    """Take values off the stack."""
    taken = popped(frame, count)
    if any(isinstance(one, Null) for one in taken):
        raise MalformedError("a marker is used as a value")
    return taken


Handler = Callable[[Frame, Instruction], None]
"""Carries out an instruction."""
