"""KG421: Lambda layers.

What it looks like: a `Lambda` whose `function` is marshalled Python bytecode (a list, or an object
`__lambda__`), or the name of a function: `Requested the deserialization of a Lambda layer whose
function is a Python lambda`; in `.keras` files of Keras 2 also `Unrecognized keyword arguments
passed to Lambda: {'function_type': 'lambda', ...}`.

Why it happens: Keras stores a function without a name as bytecode, which only the Python version
that wrote it can read, and which would run with the user's rights.

Source: Keras 2 `layers/core.py`, `Lambda.get_config`; Keras 3 `layers/core/lambda_layer.py`;
CPython `marshal.c` and `ceval.c` of 2.7 and 3.4 to 3.13.

When it is exact: with the function from the caller, under the layer's name or the function's own:
`custom_objects={"lambda_1": lambda x: ...}`. Or where every instruction of the bytecode and every
function that it calls is in a table, with `allow="lambdas"`, because a global name is assumed to be
the module that it usually is (`K` for `keras.backend`): operations of Keras 3 take the layer's
place. Bytecode is parsed and never run; what is not wholly understood is refused by name, with the
function's source as far as it was read.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.graphs import as_graph
from kerasguard.blueprint.lambdas.drawing import install
from kerasguard.blueprint.lambdas.replace import drawn
from kerasguard.blueprint.nodes import layers_of
from kerasguard.blueprint.objects import Json, config_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.bytecode.expressions import (
    Closed,
    Constant,
    Function,
    NotUnderstoodError,
    Parameter,
    reached,
)
from kerasguard.bytecode.functions import Budget, Stored, is_code, read
from kerasguard.bytecode.source import source_of_function

CODES = {"KG421": "a Lambda layer's function is not in the file in a usable form"}

_KEPT = ("name", "trainable", "dtype", "arguments")


def rewrite(blueprint: Blueprint) -> None:
    """Use the caller's functions, else what the bytecode reads; refuse where there is neither."""
    budget = Budget()
    for item in blueprint.layers("Lambda"):
        config = config_of(item)
        own = _function_name(config.get("function"))
        supplied = next((n for n in (name_of(item), own) if n and n in blueprint.known), None)
        if supplied is not None:
            _supply(blueprint, item, supplied, own)
        elif is_code(config.get("function")):
            _read(blueprint, item, budget)
        else:
            what = f"calls the function {own!r}, which is not in the file" if own else _NO_CODE
            _refuse(blueprint, item, own, what)


_NO_CODE = "holds no function that can be read"


def _supply(blueprint: Blueprint, item: Json, supplied: str, own: str) -> None:
    config = config_of(item)
    kept = {key: config[key] for key in _KEPT if config.get(key) is not None}
    shape = config.get("output_shape")
    if isinstance(shape, list) and all(isinstance(size, (int, type(None))) for size in shape):
        kept["output_shape"] = shape
    item["config"] = {**kept, "function": _function(supplied)}
    if not own:
        blueprint.note(item, f"its function is the caller's {supplied!r}")


def _function(name: str) -> Json:
    return {
        "module": None,
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }


def _function_name(function: Any) -> str:
    """The name of a named function; empty for bytecode."""
    if isinstance(function, dict):
        return str(function.get("config")) if function.get("class_name") == "function" else ""
    return function if isinstance(function, str) else ""


def _read(blueprint: Blueprint, item: Json, budget: Budget) -> None:
    """Replace a Lambda by the operations that its bytecode reads, if the caller allows that."""
    try:
        function = read(config_of(item)["function"], budget)
    except NotUnderstoodError as reason:
        what = f"holds Python bytecode, which is never run; not understood in it: {reason}"
        _refuse(blueprint, item, "", what)
        return
    try:
        owner = _owner(blueprint, item)
        drawing, results = drawn(
            blueprint.architecture, config_of(owner), item, function, blueprint.writer
        )
    except Unsupported as reason:
        what = f"holds `{function.source}` as Python bytecode, which is never run"
        because = str(reason).rstrip(",")
        _refuse(blueprint, item, "", f"{what}; not translated: {because}", function)
        return
    taken = "".join(f"; {what}" for what in drawing.taken)
    if "lambdas" not in blueprint.allow:
        what = f"holds `{function.source}` as Python bytecode, which is never run{taken}"
        line = f'custom_objects={{"{name_of(item)}": {_supplied(function)}}}'
        blueprint.need(name_of(item), item, offer=_supplied(function))
        blueprint.refuse(
            item,
            f'this Lambda {what}; if that is right, pass allow="lambdas", or supply it: {line}',
        )
        return
    install(drawing, item, results)
    blueprint.warn(
        item,
        f"its bytecode was not run; it reads `{function.source}` and is computed by operations "
        f"of Keras 3{taken}",
    )


def _owner(blueprint: Blueprint, item: Json) -> Json:
    """The graph that a layer is part of."""
    for owner, model in blueprint.models():
        if any(layer is item for layer in layers_of(model)):
            if as_graph(owner):
                return owner
            raise Unsupported("a model of unknown input shape,")
    raise Unsupported("a layer around it,")


def _supplied(function: Stored) -> str:
    """What a caller can write for it: a lambda, with what its closure holds as defaults."""
    own = function.function
    for inner in reached(own.body):
        if isinstance(inner, Function) and not _holds_its_names(inner):
            return "lambda x: ..."
    held = tuple((name, Constant(value)) for name, value in function.closure.items())
    return source_of_function(
        Function(
            "<lambda>", (*own.parameters, *function.closure), own.keyword_only + len(held), (),
            own.body, own.defaults, (*own.named_defaults, *held),
        )
    )  # fmt: skip


def _holds_its_names(inner: Function) -> bool:
    """Whether the variables of a function inside are those of the same name around it."""
    held = zip(inner.free, inner.closure, strict=False)
    return all(part in (Closed(name), Parameter(name)) for name, part in held)


def _refuse(
    blueprint: Blueprint, item: Json, own: str, what: str, function: Stored | None = None
) -> None:
    name = own or name_of(item)
    # What is registered is called `Package>name`; a caller has the part behind that.
    given = _supplied(function) if function else own.rpartition(">")[2] or "lambda x: ..."
    blueprint.need(name, item, offer=given)
    line = f'custom_objects={{"{name}": {given}}}'
    blueprint.refuse(item, f"this Lambda {what}; supply it: {line}")


MIGRATION = Migration("KG421", "all", lambda _: True, rewrite, words=("Lambda",))
