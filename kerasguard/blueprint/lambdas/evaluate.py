"""An expression with its parameters, evaluated: tensors become operations, the rest is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.lambdas.arithmetic import is_number, sequence
from kerasguard.blueprint.lambdas.definitions import DEFINITIONS
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.items import item_of
from kerasguard.blueprint.lambdas.names import CONSTANTS, DTYPES, GLOBALS, MODULES, canonical
from kerasguard.blueprint.lambdas.operators import binary, unary
from kerasguard.blueprint.lambdas.plain_calls import BUILTINS, bound_of_slice, call_named
from kerasguard.blueprint.lambdas.sizes import attribute, method
from kerasguard.blueprint.lambdas.values import (
    Dtype,
    Inner,
    Method,
    Named,
    Open,
    Several,
    Tensor,
    tensors_among,
    told,
)
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

__all__ = ["apply", "opened", "outcome"]

_DEEPEST = 8
_NO_LIST = object()


@dataclass
class _Scope:
    """What names mean in one call of one function.

    Args:
        drawing: gets the operations.
        held: values of parameters and of the closure, by name.
        depth: how many functions are around it.
        known: what was evaluated already, by the expression's identity.
    """

    drawing: Drawing
    held: Mapping[str, Any]
    depth: int = 0
    known: dict[int, Any] = field(default_factory=dict)


def apply(
    drawing: Drawing,
    function: Function,
    arguments: tuple[Any, ...],
    named: Mapping[str, Any],
    closure: Mapping[str, Any],
    depth: int = 0,
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """What a function makes of its arguments.

    Args:
        drawing: gets the operations.
        function: as it was read.
        arguments: by position.
        named: by name.
        closure: values of its free variables.
        depth: how many functions are around it.
        defaults: of an inner function, where they were evaluated.

    Raises:
        Unsupported: something in it is not in the tables; the text names it.
    """
    if depth > _DEEPEST:
        raise Unsupported("functions that call each other too deeply")
    positional = function.parameters[: len(function.parameters) - function.keyword_only]
    if len(arguments) > len(positional):
        raise Unsupported(f"a call with {len(arguments)} arguments")
    given = dict(zip(positional, arguments, strict=False))
    for name, value in named.items():
        if name in given or name not in function.parameters:
            raise Unsupported(f"a call with {name}")
        given[name] = value
    own = _defaults(function) if defaults is None else defaults
    missing = [name for name in function.parameters if name not in given and name not in own]
    if missing:
        raise Unsupported(f"the parameter {missing[0]}, whose value is not in the file,")
    scope = _Scope(drawing, {**closure, **own, **given}, depth)
    return _value(function.body, scope)


def _defaults(function: Function) -> dict[str, Any]:
    """Defaults as the file has them: JSON, in which a tuple is a list."""
    positional = function.parameters[: len(function.parameters) - function.keyword_only]
    pairs = zip(reversed(positional), reversed(function.defaults), strict=False)
    return {n: opened(d.value) for n, d in pairs if isinstance(d, Constant)}


def opened(value: Any) -> Any:
    """A value of the file's JSON."""
    return Open(tuple(map(opened, value))) if isinstance(value, list) else value


def _value(node: Expression, scope: _Scope) -> Any:
    found = scope.known.get(id(node), _NO_LIST)
    if found is _NO_LIST:
        found = scope.known[id(node)] = _evaluated(node, scope)
    return found


def _evaluated(node: Expression, scope: _Scope) -> Any:
    match node:
        case Constant(value=value):
            return value
        case Parameter(name=name) | Closed(name=name):
            if name not in scope.held:
                raise Unsupported(f"the variable {name}, whose value is not in the file,")
            return scope.held[name]
        case Global(name=name):
            return _global(name, scope)
        case Imported(name=name):
            if canonical(name) not in MODULES:
                raise Unsupported(f"the import of {name}")
            return Named(canonical(name))
        case Attribute(owner=owner, name=name):
            return _attribute(_value(owner, scope), name, scope.drawing)
        case Items(kind=kind, items=items):
            values = [x for item in items for x in _argument(item, scope)]
            return tuple(values) if kind == "tuple" else values
        case Range(start=start, stop=stop, step=step):
            return slice(*(bound_of_slice(_value(x, scope)) for x in (start, stop, step)))
        case Choice(test=test, chosen=chosen, other=other):
            return _value(chosen if _truth(_value(test, scope)) else other, scope)
        case Function():
            return _inner(node, scope)
    return _computed(node, scope)


def _computed(node: Expression, scope: _Scope) -> Any:
    match node:
        case Item(owner=owner, key=key):
            return item_of(_value(owner, scope), _value(key, scope), scope.drawing)
        case Unary(operator=sign, operand=operand):
            return unary(scope.drawing, sign, _value(operand, scope))
        case Binary(operator=sign, left=left, right=right, in_place=changes):
            first, second = _value(left, scope), _value(right, scope)
            return binary(scope.drawing, sign, first, second, in_place=changes)
        case Call(function=function, arguments=arguments, named=named):
            values = tuple(x for one in arguments for x in _argument(one, scope))
            words = {name: _value(x, scope) for name, x in named}
            return _call(_value(function, scope), values, words, scope)
    raise Unsupported(f"an expression of kind {type(node).__name__}")


def _argument(node: Expression, scope: _Scope) -> list[Any]:
    """One argument of a call, or with `*` several."""
    if not isinstance(node, Spread):
        return [_value(node, scope)]
    items = sequence(_value(node.items, scope))
    if items is None:
        raise Unsupported("a call with * of something that is not a list")
    return items


def _global(name: str, scope: _Scope) -> Any:
    if name in GLOBALS:
        module = GLOBALS[name]
        scope.drawing.take(f"{name} is assumed to be the module {module}")
        return Named(module)
    if name in BUILTINS:
        scope.drawing.take(f"{name} is assumed to be Python's own function")
        return Named(f"builtins.{name}")
    if name in ("None", "True", "False"):  # names in Python 2
        return {"None": None, "True": True, "False": False}[name]
    raise Unsupported(f"the global name {name}, which is not in the file,")


def _attribute(owner: Any, name: str, drawing: Drawing) -> Any:
    if not isinstance(owner, Named):
        return attribute(owner, name, drawing)
    path = canonical(f"{owner.path}.{name}")
    if path in CONSTANTS:
        return CONSTANTS[path]
    module, _, last = path.rpartition(".")
    if module in ("tensorflow", "numpy") and last in DTYPES:
        return Dtype({"half": "float16", "double": "float64"}.get(last, last))
    return Named(path)


def _truth(value: Any) -> bool:
    if value is None or is_number(value) or isinstance(value, str):
        return bool(value)
    items = sequence(value)
    if items is not None and not any(tensors_among(value)):
        return bool(items)
    raise Unsupported("a condition that depends on what the model computes")


def _inner(node: Function, scope: _Scope) -> Inner:
    held = {
        name: _value(value, scope) for name, value in zip(node.free, node.closure, strict=False)
    }
    positional = node.parameters[: len(node.parameters) - node.keyword_only]
    pairs = zip(reversed(positional), reversed(node.defaults), strict=False)
    return Inner(node, held, {name: _value(value, scope) for name, value in pairs})


def _call(function: Any, values: tuple[Any, ...], named: dict[str, Any], scope: _Scope) -> Any:
    if isinstance(function, Inner):
        return apply(
            scope.drawing, function.function, values, named, function.held, scope.depth + 1,
            function.defaults,
        )  # fmt: skip
    if isinstance(function, Method):
        return method(function, values, named)
    if isinstance(function, Dtype):
        function = Named(f"numpy.{function}")
    if not isinstance(function, Named):
        raise Unsupported("a call of something that is not a function")
    if function.path in DEFINITIONS:
        words = {name: value for name, value in named.items() if name != "name"}
        return apply(scope.drawing, DEFINITIONS[function.path], values, words, {}, scope.depth + 1)
    return call_named(scope.drawing, function.path, values, named)


def outcome(value: Any) -> Tensor | list[Tensor]:
    """What a Lambda gives on: one tensor or several.

    Raises:
        Unsupported: it is something else.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Several):
        return list(value.tensors)
    items = sequence(value)
    if items and all(isinstance(item, Tensor) for item in items):
        return items
    told(value)
    raise Unsupported("a result that does not depend on the input")
