"""KG416: attention layers of tf.keras.

What it looks like: `query_shape`, `key_shape`, `value_shape` in a MultiHeadAttention config;
`causal` in Attention and AdditiveAttention; `score_mode="dot"` that became a function.

Why it happens: tf.keras 2.5 to 2.15 wrote the shapes that the layer was built for; until 2.9
`causal` was an option of the layer, today it is one of the call (`use_causal_mask`). Keras 3's
reader of HDF5 files replaces any string that names a Keras function, `score_mode="dot"` included.

Source: tf.keras `layers/multi_head_attention.py`, `layers/dense_attention.py`; Keras 3
`legacy/saving/serialization.py`.

When it is exact: always. The shapes follow from the inputs; `causal=True` moves into the calls,
and is refused in a Sequential model, where there are none.
"""

from __future__ import annotations

from kerasguard.blueprint.nodes import calls_of
from kerasguard.blueprint.objects import class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG416": "an attention layer has options of tf.keras"}

_SHAPES = ("query_shape", "key_shape", "value_shape")


def rewrite(blueprint: Blueprint) -> None:
    """Drop the shapes, move `causal` into the calls."""
    for item in blueprint.layers("MultiHeadAttention"):
        if [key for key in _SHAPES if config_of(item).pop(key, None) is not None]:
            blueprint.note(item, "the shapes that it was built for are known from its inputs")
    for item in blueprint.layers("Attention", "AdditiveAttention"):
        if not config_of(item).pop("causal", False):
            continue
        calls = calls_of(item)
        for call in calls:
            call["kwargs"]["use_causal_mask"] = True
        if calls:
            blueprint.note(item, "causal=True became use_causal_mask=True in its calls")
        else:
            blueprint.refuse(item, f"causal=True of {class_of(item)} needs a functional model")


MIGRATION = Migration("KG416", "tf.keras", lambda w: w.before_keras3, rewrite, words=("Attention",))
