"""KG423: layer names that Keras 3 does not allow.

What it looks like: `mel/mag`: `Argument name must be a string and cannot contain character /`; two
layers of one model with the same name.

Why it happens: Keras 3 uses names as parts of paths; Keras 2 let TensorFlow's scopes into them and
did not check Sequential models.

Source: https://github.com/keras-team/keras-cv/issues/2037; Keras 3 `ops/operation.py`.

When it is exact: always. Names are replaced one to one in layers and calls; these files address
weights by order.
"""

from __future__ import annotations

from kerasguard.blueprint.nodes import History, calls_of, layers_of, map_histories
from kerasguard.blueprint.objects import Json, config_of, name_of, replace_all
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG423": "a layer's name is not allowed in Keras 3"}


def rewrite(blueprint: Blueprint) -> None:
    """Rename in every model, then what stands in no model's list."""
    for _, model in blueprint.models():
        _rename_layers(blueprint, model)
    for item in blueprint.layers():
        config = config_of(item)
        if "/" in str(config.get("name", "")):
            config["name"] = config["name"].replace("/", "_")


def _rename_layers(blueprint: Blueprint, model: Json) -> None:
    taken: dict[str, int] = {}
    renamed: dict[str, str] = {}
    for layer in layers_of(model):
        old = name_of(layer)
        new = _free(old.replace("/", "_"), taken)
        if "name" in config_of(layer) or "name" not in layer:
            config_of(layer)["name"] = new
        if "name" in layer:
            layer["name"] = new
        if new != old:
            renamed[old] = new
            blueprint.note(new, f"was called {old}, which Keras 3 does not allow")
    if renamed and "input_layers" in model:
        _rewire(model, renamed)


def _free(wanted: str, taken: dict[str, int]) -> str:
    """A name that is not taken, and is from now on; by name, the number that was tried last."""
    name, number = wanted, taken.get(wanted, 0)
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken[wanted] = number
    taken.setdefault(name, 0)
    return name


def _rewire(model: Json, renamed: dict[str, str]) -> None:
    """Use the new names in the calls and at the ends of the graph."""

    def history(old: History) -> History:
        return (renamed.get(old[0], old[0]), *old[1:])

    def end(part: object) -> object:
        if isinstance(part, list) and len(part) == 3 and isinstance(part[0], str):
            return [renamed.get(part[0], part[0]), *part[1:]]
        return part

    for layer in layers_of(model):
        layer["inbound_nodes"] = [map_histories(call, history) for call in calls_of(layer)]
    for key in ("input_layers", "output_layers"):
        model[key] = replace_all(model[key], end)


MIGRATION = Migration("KG423", "Keras 1 and 2", lambda w: w.before_keras3, rewrite)
