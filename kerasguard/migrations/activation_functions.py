"""KG422: activation functions by name.

What it looks like: `"activation": "softmax_v2"`, `"my_relu6"`, or `{"module": "builtins",
"class_name": "function", "config": "my_relu6", ...}`.

Why it happens: Keras 2 wrote the `__name__` of whatever function it was given, TensorFlow's
included; Keras 3 looks up plain names only among its own activations, whatever the caller supplies.

Source: Keras 2 `activations.serialize`; Keras 3 `activations.get`.

When it is exact: for the names in the table, which are the same function; a function that the
caller supplies is used as it is. `biternion` (Beyer et al. 2015: a vector of length one) is a layer
UnitNormalization, which serves as an activation. A function of the writer's own with the name of a
Keras 3 function (`hard_swish`) is assumed to be that one, with a warning. Every other name is
refused.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.keras3_parts import ACTIVATIONS
from kerasguard.blueprint.objects import Json, config_of, keras_object, name_of, short_name
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG422": "an activation's name is not one that Keras 3 looks up"}

_ALIASES = {
    "Addons>hardshrink": "hard_shrink",
    "Addons>mish": "mish",
    "Addons>softshrink": "soft_shrink",
    "Addons>sparsemax": "sparsemax",
    "Addons>tanhshrink": "tanh_shrink",
    "exp": "exponential",
    "identity": "linear",
    "leaky_relu_v2": "leaky_relu",
    "log_softmax_v2": "log_softmax",
    "silu_v2": "silu",
    "softmax_v2": "softmax",
    "softplus_v2": "softplus",
    "swish_v2": "swish",
}
# What Keras 2 had itself, or what TensorFlow calls so.
_OLD = frozenset(
    {
        "elu",
        "exponential",
        "gelu",
        "hard_sigmoid",
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "log_softmax",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softplus",
        "softsign",
        "swish",
        "tanh",
    }
)
# Functions that a layer of Keras computes.
_LAYERS = {"biternion": ("UnitNormalization", {"axis": -1})}


def rewrite(blueprint: Blueprint) -> None:
    """Use Keras 3's name, the caller's function, or refuse."""
    for item in blueprint.layers():
        config = config_of(item)
        for key in [key for key in config if key.endswith("activation")]:
            name = _name(config[key])
            if name is not None:
                config[key] = _modern(blueprint, item, key, name)


def _name(value: Any) -> str | None:
    """The function's name; None for objects and for what is not a function."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        return str(value.get("config"))
    return value if isinstance(value, str) else None


def _modern(blueprint: Blueprint, item: Json, key: str, name: str) -> Any:
    if name == "<lambda>":
        # It has no name of its own, so the caller supplies it under the layer's.
        name = name_of(item)
    supplied = blueprint.supplied(name)
    if supplied is not None:
        return {
            "module": None,
            "class_name": "function",
            "config": supplied,
            "registered_name": supplied,
        }
    if name in _LAYERS:
        class_name, options = _LAYERS[name]
        blueprint.note(item, f"{key} {name} is what {class_name} computes")
        return keras_object("keras.layers", class_name, {"name": name, **options})
    plain = _ALIASES.get(name, name)
    if plain not in ACTIVATIONS:
        blueprint.need(short_name(name), item)
    elif plain == name and name not in _OLD:
        blueprint.warn(
            item, f"{key} {name}, which is not Keras 2's own, is assumed to be Keras 3's"
        )
    elif plain != name:
        blueprint.note(item, f"{key} {name} is {plain} in Keras 3")
    return plain


MIGRATION = Migration(
    "KG422", "Keras 1 and 2", lambda w: w.before_keras3, rewrite, words=("activation",)
)
