"""KG427: the Merge layer of Keras 1.

What it looks like: a layer of class `Merge` with a `mode`; as first layer of a Sequential model
also with the models that it joins (`layers`).

Why it happens: Keras 2.0 split it into Add, Multiply, Concatenate, Average, Dot and Maximum.

Source: Keras 1.2 `engine/topology.py`, `Merge`; Keras 2.0 release notes.

When it is exact: for these modes. `cos`, whose result has another shape today, and modes that
are Python functions are refused. A Sequential model that starts with one becomes a graph with an
input for each of the models that it joins.
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
    for item, model in blueprint.models():
        layers = layers_of(model)
        if class_of(layers[0]) == "Merge" and "input_layers" not in model:
            _join(item, model)
    for item in blueprint.layers("Merge"):
        config = config_of(item)
        mode = config.get("mode", "sum")
        if (
            not isinstance(mode, str)
            or mode not in _MODES
            or config.get("mode_type", "raw") != "raw"
        ):
            what = (
                f"the mode {mode!r}" if isinstance(mode, str) else "a Python function as its mode"
            )
            blueprint.refuse(item, f"Merge with {what} is not in Keras 3")
            continue
        options: Json = {"name": config.get("name") or name_of(item)}
        if mode == "concat":
            options["axis"] = config.get("concat_axis", -1)
        if mode == "dot":
            options |= {"axes": config.get("dot_axes", -1), "normalize": False}
        item.update(keras_object("keras.layers", _MODES[mode], options))
        blueprint.note(item, f"Merge with the mode {mode} is {_MODES[mode]} today")


def _join(item: Json, model: Json) -> None:
    """A graph: an input for each model, the models, the merge, the rest in a row."""
    merge, *rest = layers_of(model)
    inputs, branches = [], []
    for number, branch in enumerate(config_of(merge).pop("layers", [])):
        name = f"merge_input_{number + 1}"
        branch["name"] = config_of(branch).setdefault("name", f"branch_{number + 1}")
        branch["inbound_nodes"] = [call_of(tensor(name))]
        inputs.append(_input(name, branch))
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


def _input(name: str, branch: Json) -> Json:
    shape, dtype = _shape(branch)
    config = {"batch_shape": shape, "dtype": dtype, "sparse": False, "name": name}
    item = keras_object("keras.layers", "InputLayer", config)
    return {**item, "name": name, "inbound_nodes": []}


def _shape(layer: Json) -> tuple[Any, str]:
    """What the first layer inside a model takes."""
    config = config_of(layer)
    if layers_of(config):
        return _shape(layers_of(config)[0])
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    return shape, str(config.get("input_dtype") or config.get("dtype") or "float32")


MIGRATION = Migration("KG427", "Keras 1", lambda w: w.before_keras3, rewrite)
