"""KG421: Lambda layers.

What it looks like: a `Lambda` whose `function` is marshalled Python bytecode (a list, or an object
`__lambda__`), or the name of a function: `Requested the deserialization of a Lambda layer whose
function is a Python lambda`; in `.keras` files of Keras 2 also `Unrecognized keyword arguments
passed to Lambda: {'function_type': 'lambda', ...}`.

Why it happens: Keras stores what it cannot name as bytecode, which only the Python version that
wrote it can read, and which would run with the user's rights.

Source: Keras 2 `layers/core.py`, `Lambda.get_config`; Keras 3 `layers/core/lambda_layer.py`.

When it is exact: with the function from the caller, under the layer's name or the function's own:
`custom_objects={"lambda_1": lambda x: ...}`. Bytecode is never run; without a function from the
caller the architecture is refused.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.objects import Json, config_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG421": "a Lambda layer whose function the file does not hold in a usable form"}

_KEPT = ("name", "trainable", "dtype", "arguments")


def rewrite(blueprint: Blueprint) -> None:
    """Use the caller's functions; refuse where there is none."""
    for item in blueprint.layers("Lambda"):
        config = config_of(item)
        own = _function_name(config.get("function"))
        supplied = next((n for n in (name_of(item), own) if n and n in blueprint.known), None)
        if supplied is None:
            _refuse(blueprint, item, own)
            continue
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


def _refuse(blueprint: Blueprint, item: Json, own: str) -> None:
    name = own or name_of(item)
    blueprint.need(name, item)
    if own:
        what = f"calls the function {own!r}, which is not in the file"
    else:
        what = "holds Python bytecode, which is never run"
    line = f'custom_objects={{"{name}": {own or "lambda x: ..."}}}'
    blueprint.refuse(item, f"this Lambda {what}; supply it: {line}")


MIGRATION = Migration("KG421", "all", lambda _: True, rewrite)
