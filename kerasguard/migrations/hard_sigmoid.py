"""KG409: `hard_sigmoid` is a different function in Keras 3.

What it looks like: `"activation": "hard_sigmoid"` or `"recurrent_activation": "hard_sigmoid"` (the
default of LSTM and GRU until Keras 2.2, of ConvLSTM2D until 2.15), or no key at all where that was
the default. Nothing fails: the model loads but predicts differently.

Why it happens: Keras 1 and 2 compute clip(0.2 x + 0.5, 0, 1), Keras 3 clip(x / 6 + 0.5, 0, 1).

Source: https://github.com/keras-team/keras/issues/19477; Keras 2 `backend.hard_sigmoid`, Keras 3
`ops.hard_sigmoid`.

When it is exact: always, to the bit. Keras 3 has no function that computes the old one, but its
activations may be objects: a `Pipeline` of `Rescaling(0.2, 0.5)` and `ReLU(max_value=1)` is the
old function, works inside recurrent cells, and can be loaded by a Keras 3 without kerasguard.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG409": "hard_sigmoid is a different function in Keras 3"}

_GATED_BEFORE_KERAS3 = {"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}
_GATED_IN_KERAS1 = {"LSTM", "GRU", "LSTMCell", "GRUCell"}


def rewrite(blueprint: Blueprint) -> None:
    """Replace the function wherever a config names it or relied on it."""
    for item in blueprint.layers():
        config = config_of(item)
        _spell_out_default(blueprint, item, config)
        keys = [key for key in config if key.endswith("activation") and _names_it(config[key])]
        for key in keys:
            config[key] = _old_function(config.get("dtype"))
        if keys:
            blueprint.note(item, f"{' and '.join(keys)} hard_sigmoid stays that of Keras 2")


def _names_it(value: Any) -> bool:
    """By name or as a serialised function."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return bool(value == "hard_sigmoid")


def _spell_out_default(blueprint: Blueprint, item: Json, config: Json) -> None:
    """Write a missing `recurrent_activation` where the old default was hard_sigmoid."""
    kind = class_of(item)
    old_cell = kind in _GATED_IN_KERAS1 and blueprint.writer.keras < (2, 2)
    if (kind in _GATED_BEFORE_KERAS3 or old_cell) and "recurrent_activation" not in config:
        config["recurrent_activation"] = "hard_sigmoid"


def _old_function(dtype: Any) -> Json:
    """clip(0.2 x + 0.5, 0, 1) out of Keras 3's own layers, in the owner's dtype."""
    own: Json = {"dtype": dtype} if dtype is not None else {}
    slope = {"name": "slope", **own, "scale": 0.2, "offset": 0.5}
    clip = {"name": "clip", **own, "max_value": 1.0, "negative_slope": 0.0, "threshold": 0.0}
    layers = [
        keras_object("keras.layers", "Rescaling", slope),
        keras_object("keras.layers", "ReLU", clip),
    ]
    config = {"name": "hard_sigmoid_keras2", "layers": layers}
    return keras_object("keras.layers", "Pipeline", config)


MIGRATION = Migration(
    "KG409",
    "Keras 1 and 2",
    lambda w: w.before_keras3,
    rewrite,
    words=("hard_sigmoid", "ConvLSTM", "GRU", "LSTM"),
)
