"""KG407: input shapes where Keras 3 does not look for them.

What it looks like: `batch_input_shape` in the config of a Sequential model's first layer, or of
any layer; `input_shape`, `input_dtype`; an `InputLayer` with `batch_input_shape`.

Why it happens: until TensorFlow 2.2 a Sequential config had no InputLayer, and every first layer
kept its shape. Keras 3 refuses the argument (`Unrecognized keyword arguments passed to Dense:
{'batch_input_shape': [None, 40]}`) or, in a dict config, takes it for `input_shape`, so that an
axis too many appears and every real batch is refused.

Source: Keras 2 `Sequential.add`, `Layer.get_config`; Keras 3 `Layer.__init__`,
`legacy/saving/saving_utils.py`.

When it is exact: always. The InputLayer gets the shape and the dtype that the layer had.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.nodes import layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG407": "an input shape is given to a layer instead of an InputLayer"}

_INPUT = ("batch_shape", "dtype", "sparse", "ragged", "name", "optional")


def rewrite(blueprint: Blueprint) -> None:
    """An InputLayer for every Sequential that knows its shape; no shapes elsewhere."""
    for item in blueprint.layers("InputLayer"):
        _input_layer(config_of(item))
    for item, model in blueprint.models():
        if class_of(item) == "Sequential" or "input_layers" not in model:
            _sequential(blueprint, item, model)
    for item in blueprint.layers():
        config = config_of(item)
        if class_of(item) != "InputLayer":
            for key in ("batch_input_shape", "input_dtype"):
                config.pop(key, None)
            if not blueprint.is_known(str(item["class_name"])):
                config.pop("input_shape", None)


def _input_layer(config: Json) -> None:
    if "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    elif "input_shape" in config:
        config["batch_shape"] = [None, *config.pop("input_shape")]
    for key in set(config) - set(_INPUT):
        del config[key]


def _sequential(blueprint: Blueprint, item: Json, model: Json) -> None:
    layers = layers_of(model)
    if class_of(layers[0]) == "InputLayer":
        return
    found = _shape(layers[0])
    if found is None:
        return
    shape, dtype = found
    config = {
        "batch_shape": shape,
        "dtype": dtype,
        "sparse": False,
        "name": f"{name_of(layers[0])}_input",
    }
    layers.insert(0, keras_object("keras.layers", "InputLayer", config))
    model.pop("build_input_shape", None)
    blueprint.note(item, f"its input shape {shape} became an InputLayer")


def _shape(layer: Json) -> tuple[Any, str] | None:
    """Batch shape and dtype of what a Sequential's first layer takes."""
    config = config_of(layer)
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if shape is not None:
        return shape, _dtype(config.get("input_dtype") or config.get("dtype"))
    if config.get("input_shape") is not None:
        return [None, *config["input_shape"]], _dtype(config.get("dtype"))
    if "input_layers" in config:
        inputs = [x for x in layers_of(config) if class_of(x) == "InputLayer"]
        return _shape(inputs[0]) if len(inputs) == 1 else None
    return _shape(layers_of(config)[0]) if layers_of(config) else None


def _dtype(dtype: Any) -> str:
    """The dtype of the variables: what mixed precision takes as input."""
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    if not name or name.startswith(("mixed_", "_infer", "infer")):
        return "float32"
    return str(name)


MIGRATION = Migration("KG407", "Keras 1 and 2", lambda w: w.before_keras3, rewrite)
