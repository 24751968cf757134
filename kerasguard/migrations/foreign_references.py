"""KG431: a config that names code outside Keras, or a Keras function that is no part of a model.

What it looks like: an object with `module: "os"` or `"keras_cv"`, or a function reference to
`keras.config.set_floatx` where an activation belongs.

Why it happens: the model needs a package that was registered when it was saved, or somebody wrote
the config to run code on loading. Keras imports some modules that a config names before it looks
what they hold, and denies only a short list of its own functions.

Source: keras/src/saving/serialization_lib.py, `_retrieve_class_or_fn`; GHSA-48g7-3x6r-xfhp.

When it is exact: nothing is changed. What the caller supplies by `custom_objects` is trusted;
everything else must be a class or a mathematical function of Keras itself.
"""

from __future__ import annotations

import re
from typing import Any

from kerasguard.blueprint.objects import Json
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG431": "a config names code that is no part of Keras' models"}

_HOLDING = (dict, list, tuple)
_KERAS = re.compile(r"(keras|tf_keras|kerasguard)(\.|$)")
_MATHEMATICAL = re.compile(
    r"keras(\.src)?\.(activations|constraints|initializers|losses|metrics|ops|random|regularizers"
    r"|backend\.tensorflow\.(nn|numpy|math))(\.|$)"
)
_WITHOUT = ", or load the model without optimizer, loss and metrics: compile=False"
_REFUSED = {
    "TFSMLayer": "it runs a SavedModel from a path that the file names",
    "TorchModuleWrapper": "it unpickles what the file holds",
}


def rewrite(blueprint: Blueprint) -> None:
    """Refuse every reference that is not to Keras and not supplied by the caller."""
    fine: set[tuple[str | None, str, str, str]] = set()
    # Whose it is, what it is, and what can be done without it.
    stack: list[tuple[str, Any, str]] = [("", blueprint.architecture, "")]
    while stack:
        owner, value, instead = stack.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                config = value.get("config")
                name = config.get("name") if isinstance(config, dict) else None
                owner = name if isinstance(name, str) else owner
                reference = _reference(value)
                if reference not in fine:  # a few classes make up the largest model
                    reason = _reason(blueprint, *reference)
                    if reason:
                        blueprint.refuse(owner, reason + instead)
                    else:
                        fine.add(reference)
            stack += [
                (owner, item, _WITHOUT if key == "compile_config" else instead)
                for key, item in value.items()
                if isinstance(item, _HOLDING)
            ]
        elif isinstance(value, (list, tuple)):
            stack += [(owner, item, instead) for item in value if isinstance(item, _HOLDING)]


def _reference(item: Json) -> tuple[str | None, str, str, str]:
    """Module, class, name and registered name of what an object refers to; functions have names."""
    module, class_name = item.get("module"), str(item.get("class_name"))
    name = str(item.get("config")) if class_name == "function" else class_name
    registered = str(item.get("registered_name") or name)
    return module if isinstance(module, str) else None, class_name, name, registered


def _reason(
    blueprint: Blueprint, module: str | None, class_name: str, name: str, registered: str
) -> str:
    """Why a reference is refused; empty where it is not."""
    if blueprint.is_known(name) or blueprint.is_known(registered):
        return ""
    if class_name in _REFUSED:
        return f"{class_name} is never loaded from a file: {_REFUSED[class_name]}"
    if module is None or module == "builtins":
        return ""
    if not _KERAS.match(module):
        return (
            f"{name} is of the package {module.partition('.')[0]!r}, which is not imported because "
            f"a file names it; import it and supply it: custom_objects={{{registered!r}: ...}}"
        )
    if class_name == "function" and not _MATHEMATICAL.match(module):
        return (
            f"the function {module}.{name} is no part of a model; if it is meant, supply it: "
            f"custom_objects={{{name!r}: ...}}"
        )
    return ""


MIGRATION = Migration("KG431", "all", lambda _: True, rewrite)
