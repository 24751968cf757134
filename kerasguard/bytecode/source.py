"""An expression as a person would write it in Python."""

from __future__ import annotations

from dataclasses import replace

from kerasguard.bytecode.expressions import (
    Attribute,
    Binary,
    Call,
    Choice,
    Closed,
    Constant,
    Expression,
    Function,
    Global,
    Imported,
    Item,
    Items,
    Parameter,
    Range,
    Spread,
    Unary,
)

__all__ = ["source", "source_of_function"]

_LONGEST = 2_000
# How tightly an operator binds; what stands inside one that binds tighter gets brackets.
_BINDS = {
    "if": 1, "or": 2, "and": 3, "not": 4, "in": 5, "not in": 5, "is": 5, "is not": 5, "<": 5,
    "<=": 5, ">": 5, ">=": 5, "==": 5, "!=": 5, "|": 6, "^": 7, "&": 8, "<<": 9, ">>": 9, "+": 10,
    "-": 10, "*": 11, "/": 11, "//": 11, "%": 11, "@": 11, "unary": 12, "**": 13, "atom": 15,
}  # fmt: skip


def source(node: Expression) -> str:
    """The expression in Python, in one line; a long one is cut."""
    text = _written(node)[0]
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def source_of_function(function: Function) -> str:
    """`lambda x, n=2: x * n`, also for one that has a name: `def f(x): return x`."""
    given = source(function.body)
    parameters = _parameters(function)
    if function.name == "<lambda>":
        return f"lambda{' ' if parameters else ''}{parameters}: {given}"
    return f"def {function.name}({parameters}): return {given}"


def _parameters(function: Function) -> str:
    last = len(function.parameters) - function.keyword_only
    defaults = dict(
        zip(reversed(function.parameters[:last]), reversed(function.defaults), strict=False)
    )
    defaults |= dict(function.named_defaults)
    words = [
        f"{name}={source(defaults[name])}" if name in defaults else name
        for name in function.parameters
    ]
    if function.keyword_only:
        words.insert(last, "*")
    return ", ".join(words)


def _written(node: Expression) -> tuple[str, int]:
    """The text of a node and how tightly it binds."""
    match node:
        case Constant(value=value):
            return _constant(value), 12 if _is_negative(value) else 15
        case Parameter(name=name) | Closed(name=name) | Global(name=name) | Imported(name=name):
            return name, 15
        case Attribute(owner=owner, name=name):
            return f"{_inside(owner, 14)}.{name}", 15
        case Item(owner=owner, key=key):
            return f"{_inside(owner, 14)}[{_key(key)}]", 15
        case Range():
            return f"slice({', '.join(source(x) for x in (node.start, node.stop, node.step))})", 15
        case Items(kind=kind, items=items):
            return _items(kind, items), 15
        case Call(function=function, arguments=arguments, named=named):
            words = [source(x) for x in arguments] + [f"{n}={source(x)}" for n, x in named]
            return f"{_inside(function, 14)}({', '.join(words)})", 15
        case Function():
            return source_of_function(replace(node, name="<lambda>")), 0
    return _operated(node)


def _operated(node: Expression) -> tuple[str, int]:
    match node:
        case Spread(items=items):
            return f"*{_inside(items, 12)}", 0
        case Unary(operator=operator, operand=operand):
            binds = _BINDS["not" if operator == "not" else "unary"]
            space = " " if operator == "not" else ""
            return f"{operator}{space}{_inside(operand, binds)}", binds
        case Binary(operator=operator, left=left, right=right):
            sign = operator.removeprefix("classic ")
            binds = _BINDS[sign]
            before, behind = (binds + 1, binds) if sign == "**" else (binds, binds + 1)
            return f"{_inside(left, before)} {sign} {_inside(right, behind)}", binds
        case Choice(test=test, chosen=chosen, other=other):
            return f"{_inside(chosen, 2)} if {_inside(test, 2)} else {_inside(other, 1)}", 1
    raise AssertionError(node)


def _inside(node: Expression, binds: int) -> str:
    text, own = _written(node)
    number = isinstance(node, Constant) and binds == 14
    return f"({text})" if own < binds or number else text


def _items(kind: str, items: tuple[Expression, ...]) -> str:
    inner = ", ".join(source(x) for x in items)
    if kind == "list":
        return f"[{inner}]"
    return f"({inner},)" if len(items) == 1 else f"({inner})"


def _key(key: Expression) -> str:
    if isinstance(key, Items) and key.kind == "tuple" and key.items:
        return ", ".join(_key(x) for x in key.items) + ("," if len(key.items) == 1 else "")
    if not isinstance(key, Range):
        return source(key)
    ends = [("" if _is_none(x) else source(x)) for x in (key.start, key.stop, key.step)]
    return ":".join(ends[:2] if not ends[2] else ends)


def _is_none(node: Expression) -> bool:
    return isinstance(node, Constant) and node.value is None


def _is_negative(value: object) -> bool:
    return isinstance(value, (int, float)) and repr(value).startswith("-")


def _constant(value: object) -> str:
    if value is Ellipsis:
        return "..."
    if isinstance(value, list):
        return f"[{', '.join(_constant(x) for x in value)}]"
    if isinstance(value, tuple):
        inner = ", ".join(_constant(x) for x in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, (str, bytes, int, float, complex, type(None))):
        return repr(value)
    return f"<{type(value).__name__}>"
