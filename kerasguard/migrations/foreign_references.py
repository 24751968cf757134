"""KG431: a config names code outside Keras, or a Keras function that does not belong in a model.

What it looks like: an object with `module: "os"` or `"keras_cv"`, a function reference to
`keras.config.set_floatx` where an activation belongs, a Keras class that does not belong in a model
(`KerasFileEditor`), bytecode in any entry, a path or an address where a list of words belongs.

Why it happens: the model needs a package that was registered when it was saved, or somebody wrote
the config to run code or read files on loading. Keras imports some of the modules that a config
names before it checks what they contain, blocks only a short list of its own functions, and before
3.12 reads vocabularies from any file.

Source: keras/src/saving/serialization_lib.py, `_retrieve_class_or_fn`; GHSA-48g7-3x6r-xfhp.

When it is exact: nothing is changed. What the caller supplies by `custom_objects` is trusted;
everything else must be a class or a mathematical function of Keras itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kerasguard.blueprint.references import Doubt, called_by_name, doubts, looked_up
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG431": "a config names code that is not part of a Keras model"}

_WITHOUT = ", or load the model without optimizer, loss and metrics: compile=False"


def rewrite(blueprint: Blueprint) -> None:
    """Refuse every reference that is not to a part of models and not supplied by the caller."""
    training = blueprint.architecture.get("compile_config")
    rest = {k: v for k, v in blueprint.architecture.items() if k != "compile_config"}
    for doubt in _found(blueprint, rest):
        if doubt.reason == "bytecode" and blueprint.is_refused(doubt.owner):
            continue  # that finding shows what the bytecode is
        blueprint.refuse(doubt.owner, doubt.message)
    for doubt in _compiled(blueprint, training):
        instead = "" if doubt.reason == "hostile" else _WITHOUT
        blueprint.refuse(doubt.owner, doubt.message + instead)
    for doubt in _compiled(blueprint, blueprint.compile_arguments):
        if doubt.supplied:
            blueprint.warn(doubt.owner, f"the model is not compiled: {doubt.message}")
            blueprint.compile_arguments = None
        else:
            blueprint.refuse(doubt.owner, doubt.message)
    _point_at_the_callers(blueprint)


def _found(blueprint: Blueprint, part: Any) -> Iterable[Doubt]:
    return dict.fromkeys(doubts(part, blueprint.is_known, blueprint.registered))


def _compiled(blueprint: Blueprint, training: Any) -> Iterable[Doubt]:
    return dict.fromkeys(
        (*_found(blueprint, training), *called_by_name(training, blueprint.registered))
    )


def _point_at_the_callers(blueprint: Blueprint) -> None:
    """Name what the caller supplies so that Keras finds that, and looks into no module for it."""
    if not blueprint.known:
        return
    waiting: list[Any] = [blueprint.architecture, blueprint.compile_arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, tuple)):
            waiting += value
        if not isinstance(value, dict):
            continue
        waiting += value.values()
        names = looked_up(value) if "class_name" in value else ()
        supplied = next((s for name in names if (s := blueprint.supplied(name))), None)
        if supplied is None or supplied == names[0]:
            continue  # nobody's, or Keras looks it up under the caller's name first
        value["module"] = None
        if value["class_name"] == "function":
            value["config"] = supplied
        else:
            value["registered_name"] = supplied


MIGRATION = Migration("KG431", "all", lambda _: True, rewrite)
