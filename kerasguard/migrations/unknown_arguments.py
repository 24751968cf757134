"""KG424: arguments that Keras 3's layer does not have.

What it looks like: `Unrecognized keyword arguments passed to ...`, for an option that none of the
other migrations knows.

Why it happens: old layers wrote options that were later removed, and layers of tf.keras had options
that Keras 3 never had.

Source: the arguments of Keras 3.15.1, in `blueprint/keras3.py`.

When it is exact: an option that is off (None, False), or affects only how to compute or train, is
dropped; any other option is refused by name.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.keras3 import CLOSED, COMMON, LAYERS
from kerasguard.blueprint.objects import class_of, config_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG424": "a layer has an argument that Keras 3 does not have"}

# Of no influence on what the layer computes outside of training.
_WITHOUT_EFFECT = frozenset(
    {
        "adjustment",
        "auto_vectorize",
        "autocast",
        "batch_size",
        "consume_less",
        "data_format",
        "experimental_autocast",
        "fused",
        "input_dim",
        "input_length",
        "input_spec",
        "noise_shape",
        "num_sub_batches",
        "rng_type",
        "seed",
        "supports_masking",
        "trainable",
        "virtual_batch_size",
    }
)


def rewrite(blueprint: Blueprint) -> None:
    """Leave out what says nothing, refuse the rest."""
    for item in blueprint.layers():
        kind, config = class_of(item), config_of(item)
        if kind not in LAYERS or kind == "Lambda" or blueprint.is_known(str(item["class_name"])):
            continue
        allowed = LAYERS[kind] | CLOSED.get(kind, COMMON)
        if "return_sequences" in allowed:
            allowed |= {"zero_output_for_mask"}
        if "vocabulary" in allowed:
            allowed |= {"vocabulary_size"}
        config.setdefault("name", name_of(item))
        for key in sorted(set(config) - allowed):
            value = config.pop(key)
            if not _says_nothing(key, value):
                blueprint.refuse(
                    item, f"{kind} has no {key} in Keras 3, and {key}={value!r} is not its default"
                )
            elif value is not None and key != "trainable":
                blueprint.note(item, f"{key} has no effect in Keras 3 and was dropped")


def _says_nothing(key: str, value: Any) -> bool:
    if key == "data_format":
        return value in (None, "channels_last")
    return key in _WITHOUT_EFFECT or value is None or value is False


MIGRATION = Migration("KG424", "Keras 1 and 2", lambda w: w.before_keras3, rewrite)
