"""Rewriting a model's graph: a list of layers becomes a graph, layers nobody needs disappear."""

from __future__ import annotations

from collections import Counter

from kerasguard.blueprint.nodes import call_of, calls_of, is_graph, layers_of, tensor, tensors_in
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of

__all__ = ["as_graph", "ends_of", "remove_unused"]


def as_graph(item: Json) -> bool:
    """Turn a Sequential model whose input is known into a Functional one; whether it is one now.

    Both compute the same; operations and several inputs exist in graphs only.
    """
    model = config_of(item)
    layers = layers_of(model)
    if is_graph(model):
        return True
    if not layers or class_of(layers[0]) != "InputLayer":
        return False
    before = ""
    for layer in layers:
        name = name_of(layer)
        layer["name"] = name
        layer["inbound_nodes"] = [call_of(tensor(before))] if before else []
        before = name
    model["input_layers"] = [name_of(layers[0]), 0, 0]
    nested = "input_layers" in config_of(layers[-1])
    model["output_layers"] = [before, int(nested), 0]
    model.pop("build_input_shape", None)
    item["class_name"] = "Functional"
    item.pop("registered_name", None)
    return True


def ends_of(value: object) -> set[str]:
    """The names of the layers in `input_layers` or `output_layers`."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return {value[0]}
    items = list(value.values()) if isinstance(value, dict) else value
    return {n for x in items for n in ends_of(x)} if isinstance(items, list) else set()


def remove_unused(model: Json, candidates: set[str]) -> None:
    """Take layers out of a graph that no call and no output refers to, again and again."""
    kept = ends_of(model["output_layers"]) | ends_of(model["input_layers"])
    named: dict[str, list[Json]] = {}
    users: Counter[str] = Counter()
    for layer in layers_of(model):
        named.setdefault(name_of(layer), []).append(layer)
        users.update({name for name, _, _ in tensors_in(calls_of(layer))})
    gone: set[int] = set()
    idle = [name for name in named if name in candidates and not users[name] and name not in kept]
    while idle:
        for layer in named[idle.pop()]:
            gone.add(id(layer))
            for name in {name for name, _, _ in tensors_in(calls_of(layer))}:
                users[name] -= 1
                if not users[name] and name in candidates and name in named and name not in kept:
                    idle.append(name)
    model["layers"][:] = [layer for layer in layers_of(model) if id(layer) not in gone]
