"""Python source of our own as the expressions that bytecode is read as.

Functions that are several operations are defined by a line of Python; see `definitions`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from kerasguard.bytecode.expressions import (
    Attribute,
    Binary,
    Call,
    Choice,
    Constant,
    Expression,
    Function,
    Imported,
    Item,
    Items,
    Parameter,
    Range,
    Unary,
)

__all__ = ["function_written"]

_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==",
    ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.USub: "-",
    ast.Not: "not",
}  # fmt: skip

_MODULES = {"K": "keras.backend", "math": "math", "np": "numpy", "tf": "tensorflow"}


def function_written(name: str, source: str) -> Function:
    """A lambda as its expression; parameters of the lambda around are not seen inside."""
    made = ast.parse(source, mode="eval").body
    assert isinstance(made, ast.Lambda), f"{name} is defined by a lambda"
    parameters = tuple(argument.arg for argument in made.args.args)
    body = _expression(made.body, frozenset(parameters))
    defaults = tuple(_expression(x, frozenset()) for x in made.args.defaults)
    return Function(name, parameters, 0, (), body, defaults)


def _expression(node: ast.AST, own: frozenset[str]) -> Expression:
    def inner(part: ast.AST | None) -> Expression:
        return Constant(None) if part is None else _expression(part, own)

    match node:
        case ast.Constant(value=value):
            return Constant(value)
        case ast.Name(id=name):
            return Parameter(name) if name in own else Imported(_MODULES[name])
        case ast.Attribute(value=value, attr=name):
            return Attribute(inner(value), name)
        case ast.Subscript(value=value, slice=key):
            return Item(inner(value), inner(key))
        case ast.Slice(lower=lower, upper=upper, step=step):
            return Range(inner(lower), inner(upper), inner(step))
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return Items("tuple" if isinstance(node, ast.Tuple) else "list", (*map(inner, items),))
        case ast.IfExp(test=test, body=chosen, orelse=other):
            return Choice(inner(test), inner(chosen), inner(other))
        case ast.Call(func=function, args=arguments, keywords=keywords):
            named = tuple((word.arg or "", inner(word.value)) for word in keywords)
            return Call(inner(function), tuple(map(inner, arguments)), named)
    return _operation(node, inner)


def _operation(node: ast.AST, inner: Callable[[ast.AST], Expression]) -> Expression:
    match node:
        case ast.UnaryOp(op=operator, operand=operand):
            return Unary(_SIGNS[type(operator)], inner(operand))
        case ast.BinOp(op=operator, left=left, right=right):
            return Binary(_SIGNS[type(operator)], inner(left), inner(right))
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return Binary(_SIGNS[type(operator)], inner(left), inner(right))
    raise AssertionError(f"{ast.dump(node)} is not part of a definition")
