"""KG412: CuDNNLSTM and CuDNNGRU.

What it looks like: layers of these classes: `Unknown layer: 'CuDNNLSTM'`.

Why it happens: TensorFlow 2.0 merged them into LSTM and GRU, which use cuDNN automatically, and
Keras 3 removed them.

Source: Keras 2 `layers/cudnn_recurrent.py`.

When it is exact: always for the computation: cuDNN's LSTM has tanh and sigmoid, its GRU the reset
gate after the matrix product. The weights have another layout (two biases, transposed gates),
which the rule for cuDNN weights handles.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import Json, class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG412": "a cuDNN layer, which is now a plain LSTM or GRU"}

_CLASSES = {"CuDNNGRU": "GRU", "CuDNNLSTM": "LSTM"}


def rewrite(blueprint: Blueprint) -> None:
    """Use the plain layer with the options that cuDNN fixes."""
    for item in blueprint.layers(*_CLASSES):
        old, config = class_of(item), config_of(item)
        item["class_name"] = _CLASSES[old]
        config.update(_fixed(old))
        blueprint.note(item, f"{old} is {_CLASSES[old]} today")


def _fixed(old: str) -> Json:
    fixed = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
    return {**fixed, "reset_after": True} if old == "CuDNNGRU" else fixed


MIGRATION = Migration(
    "KG412", "before Keras 3", lambda w: w.before_keras3, rewrite, words=("CuDNN",)
)
