"""KG427: the Merge layer of Keras 1.

What it looks like: a layer of class `Merge` with a `mode`; as first layer of a Sequential model
also with the models that it joins (`layers`).

Why it happens: Keras 2.0 split it into Add, Multiply, Concatenate, Average, Dot and Maximum.

Source: Keras 1.2 `engine/topology.py`, `Merge`; Keras 2.0 release notes.

When it is exact: for these modes. `cos`, whose result now has a different shape, is refused; a mode
that is a Python function is a Lambda of several inputs, which the caller supplies. A Sequential
model that starts with one becomes a graph with an input for each input of the models that it joins,
which may be such graphs themselves.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.nodes import call_of, layers_of, tensor
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG427": "a Merge layer of Keras 1"}

_MODES = {
    "ave": "Average",
    "concat": "Concatenate",
    "dot": "Dot",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}


def rewrite(blueprint: Blueprint) -> None:
    """The layer of today for every mode; a graph where models were joined."""
    for item, model in reversed(list(blueprint.models())):  # those that are joined come first
        layers = layers_of(model)
        if class_of(layers[0]) == "Merge" and "input_layers" not in model:
            _join(item, model)
    for item in blueprint.layers("Merge"):
        config = config_of(item)
        mode = config.get("mode", "sum")
        if not isinstance(mode, str) or config.get("mode_type", "raw") != "raw":
            _lambda(item, mode)
        elif mode not in _MODES:
            blueprint.refuse(item, f"Merge with the mode {mode!r} is not in Keras 3")
        else:
            options: Json = {"name": config.get("name") or name_of(item)}
            if mode == "concat":
                options["axis"] = config.get("concat_axis", -1)
            if mode == "dot":
                options |= {"axes": config.get("dot_axes", -1), "normalize": False}
            item.update(keras_object("keras.layers", _MODES[mode], options))
            blueprint.note(item, f"Merge with the mode {mode} is now {_MODES[mode]}")


def _lambda(item: Json, function: Any) -> None:
    """A Lambda in place of a Merge whose mode is a function."""
    old = config_of(item)
    config: Json = {"name": old.get("name") or name_of(item), "function": function}
    config |= {"arguments": old.get("arguments") or {}}
    if old.get("output_shape_type", "raw") == "raw":
        config["output_shape"] = old.get("output_shape")
    item.update(keras_object("keras.layers", "Lambda", config))


def _join(item: Json, model: Json) -> None:
    """A graph: the inputs, the models that take them, the merge, the rest in a row."""
    merge, *rest = layers_of(model)
    inputs: list[Json] = []
    branches: list[Json] = []
    names = {name_of(layer) for layer in (merge, *rest)}
    for branch in config_of(merge).pop("layers", []):
        # Keras 1 did not write the names of Sequential models.
        branch["name"] = config_of(branch)["name"] = _free(name_of(branch), names)
        own = [_input(_free("merge_input", names), told) for told in _inputs(branch)]
        tensors = [tensor(name_of(x)) for x in own]
        branch["inbound_nodes"] = [call_of(tensors if len(tensors) > 1 else tensors[0])]
        inputs += own
        branches.append(branch)
    merge["name"] = name_of(merge)
    merge["inbound_nodes"] = [call_of([tensor(name_of(branch)) for branch in branches])]
    before = name_of(merge)
    for layer in rest:
        layer["name"] = name_of(layer)
        layer["inbound_nodes"] = [call_of(tensor(before))]
        before = name_of(layer)
    model["layers"] = [*inputs, *branches, merge, *rest]
    model["input_layers"] = [[name_of(x), 0, 0] for x in inputs]
    model["output_layers"] = [before, 0, 0]
    item["class_name"] = "Functional"


def _free(wanted: str, names: set[str]) -> str:
    """`wanted`, numbered where it is taken, which it is from now on."""
    number = next(n for n in range(len(names) + 1) if _numbered(wanted, n) not in names)
    names.add(_numbered(wanted, number))
    return _numbered(wanted, number)


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _inputs(branch: Json) -> list[Json]:
    """The layers that tell a branch's inputs: those of a graph, or the first of a row."""
    config = config_of(branch)
    if "input_layers" in config:
        by_name = {name_of(layer): layer for layer in layers_of(config)}
        told = config["input_layers"]
        # A single input may stand outside of a list of its own.
        ends = told if isinstance(told[0], list) else [told]
        return [by_name[str(end[0])] for end in ends]
    return _inputs(layers_of(config)[0]) if layers_of(config) else [branch]


def _input(name: str, told: Json) -> Json:
    config = config_of(told)
    dtype = str(config.get("input_dtype") or config.get("dtype") or "float32")
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    options = {"batch_shape": shape, "dtype": dtype, "sparse": False, "name": name}
    item = keras_object("keras.layers", "InputLayer", options)
    return {**item, "name": name, "inbound_nodes": []}


MIGRATION = Migration("KG427", "Keras 1", lambda w: w.before_keras3, rewrite, words=("Merge",))
