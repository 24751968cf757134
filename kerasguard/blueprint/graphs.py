"""Rewriting a model's graph: a list of layers becomes a graph, layers nobody needs disappear."""

from __future__ import annotations

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
    while True:
        used = ends_of(model["output_layers"]) | ends_of(model["input_layers"])
        for layer in layers_of(model):
            used |= {name for name, _, _ in tensors_in(calls_of(layer))}
        idle = [x for x in layers_of(model) if name_of(x) in candidates - used]
        if not idle:
            return
        for layer in idle:
            model["layers"].remove(layer)
