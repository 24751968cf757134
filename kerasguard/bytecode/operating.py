"""Instructions that operate on the stack: arithmetic, comparison, indices, tuples."""

from __future__ import annotations

from typing import Literal

from kerasguard.bytecode.calling import parts, spread
from kerasguard.bytecode.expressions import (
    Binary,
    Constant,
    Expression,
    Item,
    Items,
    NotUnderstoodError,
    Range,
    Unary,
    reached,
)
from kerasguard.bytecode.frame import Frame, Handler, Null, popped, pushed, values
from kerasguard.bytecode.instructions import Instruction
from kerasguard.bytecode.marshalled import MalformedError
from kerasguard.bytecode.opcodes import BINARY_OPERATORS, COMPARISONS

__all__ = ["OPERATING"]

_SIGNS = {
    "POWER": "**", "MULTIPLY": "*", "MATRIX_MULTIPLY": "@", "DIVIDE": "classic /", "MODULO": "%",
    "ADD": "+", "SUBTRACT": "-", "FLOOR_DIVIDE": "//", "TRUE_DIVIDE": "/", "LSHIFT": "<<",
    "RSHIFT": ">>", "AND": "&", "XOR": "^", "OR": "|",
}  # fmt: skip
_SIGNS_BEFORE = {"NEGATIVE": "-", "POSITIVE": "+", "NOT": "not", "INVERT": "~"}
_NONE = Constant(None)
_POSITIVE = 5  # the intrinsic function for it, since 3.12
_LIST_TO_TUPLE = 6


def _nothing(_: Frame, __: Instruction) -> None:
    return


def _pop(frame: Frame, _: Instruction) -> None:
    popped(frame)


def _operate(frame: Frame, operator: str, *, in_place: bool = False) -> None:
    left, right = values(frame, 2)
    if in_place and _holders(frame, left) > 1:
        raise NotUnderstoodError(f"{operator}= on a value that has another name")
    pushed(frame, Binary(operator, left, right, in_place))


def _holders(frame: Frame, node: Expression) -> int:
    """How many variables and values on the stack hold an object, or something with it inside.

    An operator in place changes a list or an array for all of them, also where nobody uses its
    result.
    """
    held = [*frame.local.values(), *(one for one in frame.stack if not isinstance(one, Null))]
    return sum(any(part is node for part in reached(one)) for one in held)


def _numbered_operator(frame: Frame, step: Instruction) -> None:
    if step.argument >= 2 * len(BINARY_OPERATORS):
        raise MalformedError(f"operator {step.argument} does not exist")
    second, number = divmod(step.argument, len(BINARY_OPERATORS))
    _operate(frame, BINARY_OPERATORS[number], in_place=bool(second))


def _unary(sign: str) -> Handler:
    return lambda frame, _: pushed(frame, Unary(sign, values(frame, 1)[0]))


def _binary(sign: str, *, in_place: bool = False) -> Handler:
    return lambda frame, _: _operate(frame, sign, in_place=in_place)


def _compare(frame: Frame, step: Instruction) -> None:
    version = frame.version
    number = step.argument >> {(3, 12): 4, (3, 13): 5}.get(version, 0)
    if number >= (len(COMPARISONS) if version < (3, 9) else 6):
        raise MalformedError(f"comparison {number} does not exist")
    _operate(frame, COMPARISONS[number])


def _is(frame: Frame, step: Instruction) -> None:
    _operate(frame, "is not" if step.argument else "is")


def _contains(frame: Frame, step: Instruction) -> None:
    _operate(frame, "not in" if step.argument else "in")


def _item(frame: Frame, _: Instruction) -> None:
    owner, key = values(frame, 2)
    pushed(frame, Item(owner, key))


def _slice(frame: Frame, step: Instruction) -> None:
    parts = values(frame, 3 if step.argument == 3 else 2)
    pushed(frame, Range(parts[0], parts[1], parts[2] if len(parts) > 2 else _NONE))


def _item_slice(frame: Frame, _: Instruction) -> None:
    owner, start, stop = values(frame, 3)
    pushed(frame, Item(owner, Range(start, stop, _NONE)))


def _old_slice(frame: Frame, step: Instruction) -> None:
    """Python 2's `x[a:b]`."""
    kind = int(step.name[-1])
    stop = values(frame, 1)[0] if kind & 2 else _NONE
    start = values(frame, 1)[0] if kind & 1 else _NONE
    pushed(frame, Item(values(frame, 1)[0], Range(start, stop, _NONE)))


def _tuple(frame: Frame, step: Instruction) -> None:
    pushed(frame, Items("tuple", tuple(values(frame, step.argument))))


def _list(frame: Frame, step: Instruction) -> None:
    pushed(frame, Items("list", tuple(values(frame, step.argument))))


def _extend(frame: Frame, step: Instruction) -> None:
    """How `[1, 2, 3]` is written since 3.9: an empty list takes a constant tuple."""
    made, more = values(frame, 2)
    if step.argument != 1 or not isinstance(made, Items):
        raise NotUnderstoodError("a list with *")
    pushed(frame, Items("list", (*made.items, *spread(more))))


def _append(frame: Frame, step: Instruction) -> None:
    """How `[*x, y]` goes on since 3.9; elsewhere it is part of a loop."""
    if step.argument != 1:
        raise NotUnderstoodError("a loop")
    made, item = values(frame, 2)
    if not isinstance(made, Items):
        raise NotUnderstoodError("a list with *")
    pushed(frame, Items("list", (*made.items, item)))


def _unpacked(frame: Frame, step: Instruction) -> None:
    """`[*x, y]` and `f(*x, y)` before 3.9: several tuples become one."""
    kind: Literal["tuple", "list"] = "list" if "LIST" in step.name else "tuple"
    items = (item for one in values(frame, step.argument) for item in spread(one))
    pushed(frame, Items(kind, tuple(items)))


def _to_tuple(frame: Frame, step: Instruction) -> None:
    (made,) = values(frame, 1)
    if step.name == "CALL_INTRINSIC_1" and step.argument == _POSITIVE:
        pushed(frame, Unary("+", made))
        return
    if step.name == "CALL_INTRINSIC_1" and step.argument != _LIST_TO_TUPLE:
        raise NotUnderstoodError(f"the intrinsic function {step.argument}")
    if not isinstance(made, Items):
        raise NotUnderstoodError("a tuple with *")
    pushed(frame, Items("tuple", made.items))


def _unpack(frame: Frame, step: Instruction) -> None:
    (owner,) = values(frame, 1)
    items = parts(owner)
    if not isinstance(owner, (Items, Constant)):
        items = tuple(Item(owner, Constant(n)) for n in range(step.argument))
    if len(items) != step.argument:
        raise NotUnderstoodError("an unpacking into a different number of items")
    for item in reversed(items):
        pushed(frame, item)


def _duplicate(frame: Frame, step: Instruction) -> None:
    count = {"DUP_TOP_TWO": 2, "DUP_TOPX": step.argument}.get(step.name, 1)
    taken = popped(frame, count)
    for one in (*taken, *taken):
        pushed(frame, one)


def _copy(frame: Frame, step: Instruction) -> None:
    taken = popped(frame, max(step.argument, 1))
    for one in (*taken, taken[0]):
        pushed(frame, one)


def _swap(frame: Frame, step: Instruction) -> None:
    taken = popped(frame, max(step.argument, 1))
    for one in (taken[-1], *taken[1:-1], taken[0]) if len(taken) > 1 else taken:
        pushed(frame, one)


def _rotate(frame: Frame, step: Instruction) -> None:
    """The top goes below the others."""
    count = {"ROT_TWO": 2, "ROT_THREE": 3, "ROT_FOUR": 4}.get(step.name, step.argument)
    taken = popped(frame, max(count, 1))
    for one in (taken[-1], *taken[:-1]):
        pushed(frame, one)


OPERATING: dict[str, Handler] = {
    **{f"BINARY_{name}": _binary(sign) for name, sign in _SIGNS.items()},
    **{f"INPLACE_{name}": _binary(sign, in_place=True) for name, sign in _SIGNS.items()},
    **{f"UNARY_{name}": _unary(sign) for name, sign in _SIGNS_BEFORE.items()},
    **dict.fromkeys(
        ("COPY_FREE_VARS", "MAKE_CELL", "NOP", "PRECALL", "RESUME", "TO_BOOL"), _nothing
    ),
    **dict.fromkeys(("DUP_TOP", "DUP_TOP_TWO", "DUP_TOPX"), _duplicate),
    **dict.fromkeys(("ROT_TWO", "ROT_THREE", "ROT_FOUR", "ROT_N"), _rotate),
    **dict.fromkeys(("LIST_TO_TUPLE", "CALL_INTRINSIC_1"), _to_tuple),
    **dict.fromkeys(
        ("BUILD_LIST_UNPACK", "BUILD_TUPLE_UNPACK", "BUILD_TUPLE_UNPACK_WITH_CALL"), _unpacked
    ),
    **{f"SLICE+{kind}": _old_slice for kind in range(4)},
    "BINARY_OP": _numbered_operator,
    "BINARY_SLICE": _item_slice,
    "BINARY_SUBSCR": _item,
    "BUILD_LIST": _list,
    "BUILD_SLICE": _slice,
    "BUILD_TUPLE": _tuple,
    "COMPARE_OP": _compare,
    "CONTAINS_OP": _contains,
    "COPY": _copy,
    "IS_OP": _is,
    "LIST_APPEND": _append,
    "LIST_EXTEND": _extend,
    "POP_TOP": _pop,
    "SWAP": _swap,
    "UNPACK_SEQUENCE": _unpack,
}
