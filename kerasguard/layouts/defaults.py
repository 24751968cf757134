"""KG206: weights alone do not say what a layer computes, and some layers' defaults have changed.

What it looks like: every tensor fits, but the model predicts differently from the one that was
saved. The file holds only weights, and was or may have been written by Keras 1 or 2.

Why it happens: the recurrent activation of LSTM and GRU was `hard_sigmoid` until Keras 2.2 and
TensorFlow 1, that of ConvLSTM until Keras 2; today it is `sigmoid`. `hard_sigmoid` itself is a
different function since Keras 3, and merging layers combine masks differently.

Source: https://github.com/keras-team/keras/issues/19477; Keras 2 `layers/recurrent.py`, Keras 3
`layers/rnn/lstm.py`, `activations/activations.py`, `layers/merging/base_merge.py`.

When the repair is exact: there is none. Build the layers as the writer's Keras did
(`recurrent_activation="hard_sigmoid"`), or load a file that holds the architecture too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from kerasguard.layouts.pairing import model_groups
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import Table

__all__ = ["CODES", "changed_defaults", "likely_writer", "other_function", "other_masks"]

CODES = {"KG206": "the weights do not say what the layer computed, and its defaults have changed"}

_PLAIN = ("LSTM", "LSTMCell", "GRU", "GRUCell")


def likely_writer(stored: Table, writer: Mapping[str, str]) -> Mapping[str, str]:
    """The writer, and its Keras where that is not told and may be 2.

    Files with weights alone tell no version. Keras 3 stores the seed of every layer that draws
    random numbers, recurrent ones among them, and from 3.6 on the names of layers.
    """
    named = any(layer.name for layer in stored.layers.values())
    drawn = any(record.role == "seed" for record in stored.tensors.values())
    return writer if "keras" in writer or named or drawn else {**writer, "keras": "2 or 3"}


def changed_defaults(
    expected: Table, writer: Mapping[str, str], *, same_keras: bool = False
) -> Iterator[Finding]:
    """One warning for all layers whose defaults the writer did not share.

    Args:
        expected: of a model that code of today made, and that takes weights of an old file.
        writer: of that file.
        same_keras: whether the model is of tf_keras, whose defaults are those of Keras 2.3 on.
    """
    version = tuple(int(part) for part in re.findall(r"[0-9]{1,9}", writer.get("keras", "1"))[:2])
    if version >= (3,):
        return
    old = []
    for group in model_groups(expected):
        classes = {leaf.class_name for leaf in group.leaves}
        # "2" alone is what a TensorFlow checkpoint tells: its LSTM may be of either kind.
        plain = version < (2, 3) and version != (2,) and bool(classes & set(_PLAIN))
        if plain or (not same_keras and any(c.startswith("ConvLSTM") for c in classes)):
            old.append(group.name)
    if old:
        yield Finding(
            "KG206",
            "",
            f"{', '.join(old)}: recurrent activations may have been hard_sigmoid by "
            f"default when Keras {writer.get('keras', '1')} wrote the file and are sigmoid today, "
            "which the weights do not show; load a full model, or build these layers with "
            "recurrent_activation= as it was "
            "(Keras 2's is clip(0.2 * x + 0.5, 0, 1))",
            Severity.WARNING,
        )


def other_function(layers: Sequence[str], writer: Mapping[str, str]) -> Iterator[Finding]:
    """One warning for layers with `hard_sigmoid`, if the writer knew another one by that name.

    Args:
        layers: names of the model's layers that compute Keras 3's.
        writer: of the file; without a version nothing is said.
    """
    return _of_keras_2(
        layers,
        writer,
        "hard_sigmoid was clip(0.2 * x + 0.5, 0, 1) until Keras 2 and is "
        f"relu6(x + 3) / 6 today; the file was written by Keras {writer.get('keras')}; load a full "
        "model or build these layers with the old function",
    )


def other_masks(layers: Sequence[str], writer: Mapping[str, str]) -> Iterator[Finding]:
    """One warning for layers that merge masks, if the writer merged them in another way.

    Args:
        layers: names of the model's layers that merge different masks.
        writer: of the file; without a version nothing is said.
    """
    return _of_keras_2(
        layers,
        writer,
        "Keras 2, which may have written this file, masked a step if any merged input did; Keras 3 "
        "only if all do. Layers after the merge that use the mask may compute something else; load "
        "a full model, or give these layers one mask",
    )


def _of_keras_2(layers: Sequence[str], writer: Mapping[str, str], what: str) -> Iterator[Finding]:
    """One warning for layers that compute something else, if Keras 2 or 1 may be the writer."""
    version = re.match(r"[0-9]{1,9}", writer.get("keras", ""))
    if layers and version and int(version[0]) < 3:
        yield Finding("KG206", "", f"{', '.join(layers)}: {what}", Severity.WARNING)
