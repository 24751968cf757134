"""KG444: a separable convolution with causal padding.

What it looks like: `"padding": "causal"` on a SeparableConv1D, which Keras 3 does not build.

Why it happens: Keras 2 padded the start of the sequence itself; Keras 3 does so in Conv1D only.

Source: tf.keras 2.15 `layers/convolutional/separable_conv1d.py`; Keras 3
`layers/convolutional/base_separable_conv.py`.

When it is exact: always, with channels last. A ZeroPadding1D in front adds the zeros that Keras 2
added, and the convolution pads nothing. With channels first it is refused.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.nodes import layers_of
from kerasguard.blueprint.objects import class_of, config_of, keras_object, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG444": "a separable convolution pads at the start of its sequence"}


def rewrite(blueprint: Blueprint) -> None:
    """Put a layer that pads in front."""
    for item in blueprint.layers("SeparableConv1D"):
        config = config_of(item)
        if config.get("padding") == "causal" and config.get("data_format") == "channels_first":
            blueprint.refuse(item, "padding='causal' with channels first is not in Keras 3")
    for _, model in blueprint.models():
        edits = Edits(model)
        for layer in list(layers_of(model)):
            config = config_of(layer)
            if class_of(layer) != "SeparableConv1D" or config.get("padding") != "causal":
                continue
            width = (_only(config["kernel_size"]) - 1) * _only(config.get("dilation_rate", 1))
            pad = {"name": edits.free_name(f"{name_of(layer)}_start"), "padding": [width, 0]}
            edits.before(layer, keras_object("keras.layers", "ZeroPadding1D", pad))
            config["padding"] = "valid"
            blueprint.note(layer, f"{width} zeros at its start are added by a separate layer")


def _only(value: Any) -> int:
    """The size along the only axis."""
    return int(value[0]) if isinstance(value, list) else int(value)


MIGRATION = Migration(
    "KG444", "tf.keras 2.0 to 2.15", lambda w: w.before_keras3, rewrite, words=("causal",)
)
