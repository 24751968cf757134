"""Instructions that call functions, and that make them."""

from __future__ import annotations

from typing import Any

from kerasguard.bytecode.code_layouts import Code
from kerasguard.bytecode.expressions import (
    Call,
    Constant,
    Expression,
    Function,
    Items,
    NotUnderstoodError,
    Spread,
)
from kerasguard.bytecode.frame import Frame, Handler, Null, popped, pushed, values
from kerasguard.bytecode.instructions import Instruction
from kerasguard.bytecode.marshalled import MalformedError

__all__ = ["CALLING", "parts", "spread"]


def _null(frame: Frame, _: Instruction) -> None:
    pushed(frame, Null())


def _keyword_names(frame: Frame, step: Instruction) -> None:
    frame.names = _strings(frame.constant(step.argument))


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, Constant):
        value = value.value
    if not isinstance(value, tuple) or not all(isinstance(x, str) for x in value):
        raise MalformedError("keyword arguments have no names")
    return value


def _call(frame: Frame, step: Instruction) -> None:
    """A call, in each version's own order of function, marker and arguments."""
    version, count = frame.version, step.argument
    names, frame.names = frame.names, ()
    if version < (3, 6):
        if step.name == "CALL_FUNCTION_KW":
            raise NotUnderstoodError("a call with **")
        keywords = [values(frame, 2) for _ in range(count >> 8)][::-1]
        names = _strings(tuple(getattr(key, "value", None) for key, _ in keywords))
        given = [*values(frame, count & 0xFF), *(value for _, value in keywords)]
    else:
        if step.name in ("CALL_FUNCTION_KW", "CALL_KW"):
            (listed,) = values(frame, 1)
            names = _strings(listed)
        given = values(frame, count)
    if len(names) > len(given) or len(set(names)) < len(names):
        raise MalformedError("a call has more names than arguments")
    function = _called(frame, step)
    first = len(given) - len(names)
    named = tuple(zip(names, given[first:], strict=True))
    pushed(frame, Call(function, tuple(given[:first]), named))


def _call_spread(frame: Frame, step: Instruction) -> None:
    """`f(*items)`, perhaps with arguments before."""
    if frame.version < (3, 6) or step.argument & 1:
        raise NotUnderstoodError("a call with **" if step.argument & 1 else "a call with *")
    (items,) = values(frame, 1)
    function = _called(frame, step)
    pushed(frame, Call(function, spread(items)))


def _call_old_spread(frame: Frame, step: Instruction) -> None:
    """`f(a, *items)` before 3.6."""
    if step.argument >> 8:
        raise NotUnderstoodError("a call with * and named arguments")
    (items,) = values(frame, 1)
    given = values(frame, step.argument & 0xFF)
    pushed(frame, Call(_called(frame, step), (*given, *spread(items))))


def _called(frame: Frame, step: Instruction) -> Expression:
    """The function of a call, which stands below its arguments."""
    version = frame.version
    if version < (3, 11) and step.name != "CALL_METHOD":
        return values(frame, 1)[0]
    pair = popped(frame, 2)
    function, marker = pair if version >= (3, 13) else pair[::-1]
    if not isinstance(marker, Null) or isinstance(function, Null):
        raise NotUnderstoodError("a call of a method that is not looked up by its name")
    found: Expression = function
    return found


def _make_function(frame: Frame, step: Instruction) -> None:
    """A function inside: its code with its defaults and its closure."""
    version, flags = frame.version, step.argument
    if version < (3, 6):
        _make_old_function(frame, step)
        return
    if version < (3, 11):
        popped(frame)  # its qualified name
    (code,) = values(frame, 1)
    closure = values(frame, 1)[0] if flags & 8 and version < (3, 13) else None
    if version < (3, 13) and flags & 4:
        raise NotUnderstoodError("a function with annotations")
    if version < (3, 13) and flags & 2:
        raise NotUnderstoodError("a function with defaults of keyword-only parameters")
    defaults = values(frame, 1)[0] if flags & 1 and version < (3, 13) else None
    _push_function(frame, code, parts(defaults), parts(closure))


def _make_old_function(frame: Frame, step: Instruction) -> None:
    version, count = frame.version, step.argument
    if version >= (3, 4):
        popped(frame)
    (code,) = values(frame, 1)
    closure = values(frame, 1)[0] if step.name == "MAKE_CLOSURE" else None
    if count >> 8:
        raise NotUnderstoodError("a function with keyword-only parameters or annotations")
    _push_function(frame, code, tuple(values(frame, count & 0xFF)), parts(closure))


def parts(node: Expression | None) -> tuple[Expression, ...]:
    """The items of a tuple or list."""
    if isinstance(node, Items):
        return node.items
    if isinstance(node, Constant) and isinstance(node.value, tuple):
        return tuple(map(Constant, node.value))
    return ()


def spread(node: Expression) -> tuple[Expression, ...]:
    """What `*node` puts into a list: its items as far as they are known."""
    known = isinstance(node, Items) or (
        isinstance(node, Constant) and isinstance(node.value, tuple)
    )
    return parts(node) if known else (Spread(node),)


def _push_function(
    frame: Frame,
    code: Expression,
    defaults: tuple[Expression, ...],
    closure: tuple[Expression, ...],
) -> None:
    if not isinstance(code, Constant) or not isinstance(code.value, Code):
        raise MalformedError("a function without code is made")
    own = code.value
    found = frame.inner(own)
    if closure and len(closure) != len(own.free):
        raise MalformedError("a closure does not have its function's variables")
    made = Function(
        found.name, found.parameters, found.keyword_only, found.free, found.body, defaults, (),
        closure,
    )  # fmt: skip
    pushed(frame, made)


def _function_attribute(frame: Frame, step: Instruction) -> None:
    value, made = values(frame, 2)
    if not isinstance(made, Function) or step.argument not in (1, 8):
        raise NotUnderstoodError("a function with annotations or keyword-only parameters")
    defaults = parts(value) if step.argument == 1 else made.defaults
    closure = parts(value) if step.argument == 8 else made.closure
    pushed(frame, Function(
        made.name, made.parameters, made.keyword_only, made.free, made.body, defaults, (), closure
    ))  # fmt: skip


CALLING: dict[str, Handler] = {
    "CALL": _call,
    "CALL_FUNCTION": _call,
    "CALL_FUNCTION_EX": _call_spread,
    "CALL_FUNCTION_KW": _call,
    "CALL_FUNCTION_VAR": _call_old_spread,
    "CALL_KW": _call,
    "CALL_METHOD": _call,
    "KW_NAMES": _keyword_names,
    "MAKE_CLOSURE": _make_function,
    "MAKE_FUNCTION": _make_function,
    "PUSH_NULL": _null,
    "SET_FUNCTION_ATTRIBUTE": _function_attribute,
}
