"""KG410: options of recurrent layers that Keras 3 does not have.

What it looks like: `time_major`, `implementation`, `num_constants` in LSTM, GRU, SimpleRNN,
ConvLSTM and RNN: `Unrecognized keyword arguments passed to LSTM: {'time_major': False}`.

Why it happens: tf.keras 2.0 to 2.15 wrote them; Keras 3 always puts the batch first.

Source: https://github.com/keras-team/keras/issues/20750; Keras 3 `layers/rnn/rnn.py`.

When it is exact: `time_major=False` and `num_constants` that are not set mean nothing;
`implementation` only chooses how the same numbers are computed. Around a layer with
`time_major=True` the batch and time axes are swapped and swapped back; it is refused where it is
inside another layer, gives or takes states, or where the model has masks, which would be lost.
Constants are refused, because Keras 3 has none.
"""

from __future__ import annotations

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.graphs import as_graph
from kerasguard.blueprint.nodes import calls_of, history_of, layers_of, tensors_in
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG410": "a recurrent layer has an option that Keras 3 does not have"}

_TURNED = ("GRU", "LSTM", "RNN", "SimpleRNN")
_CLASSES = (
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "GRU",
    "GRUCell",
    "LSTM",
    "LSTMCell",
    "RNN",
    "SimpleRNN",
    "SimpleRNNCell",
)


def rewrite(blueprint: Blueprint) -> None:
    """Drop what says nothing, turn what has the time first, and refuse what else says something."""
    for item, model in blueprint.models():
        edits: Edits | None = None
        masks = _has_masks(model)
        for layer in list(layers_of(model)):
            first = class_of(layer) in _TURNED and config_of(layer).get("time_major")
            if first and not masks and as_graph(item) and _can_be_turned(layer):
                edits = edits or Edits(model)
                _turn(edits, layer)
                blueprint.note(layer, "batch and time axes are swapped around it")
    for item in blueprint.layers(*_CLASSES, "Bidirectional"):
        config, told = config_of(item), []
        if config.pop("implementation", None) is not None:
            told.append("implementation")
        if "time_major" in config:
            if config.pop("time_major"):
                blueprint.refuse(
                    item,
                    "time_major=True is not supported by Keras 3, and the axes cannot be swapped "
                    "here",
                )
            told.append("time_major=False")
        if config.pop("num_constants", None):
            blueprint.refuse(item, f"{class_of(item)} takes constants, which Keras 3 does not")
        if told:
            blueprint.note(item, f"{' and '.join(told)} has no effect in Keras 3 and was dropped")


def _has_masks(model: Json) -> bool:
    layers = layers_of(model)
    return any(class_of(x) == "Masking" or config_of(x).get("mask_zero") for x in layers)


def _can_be_turned(layer: Json) -> bool:
    """Whether a sequence is all that goes in and comes out."""
    alone = all(
        len(call["args"]) == 1
        and history_of(call["args"][0]) is not None
        and next(tensors_in(call["kwargs"]), None) is None
        for call in calls_of(layer)
    )
    return alone and not config_of(layer).get("return_state")


def _turn(edits: Edits, layer: Json) -> None:
    config_of(layer)["time_major"] = False
    layer.pop("build_config", None)
    edits.before(layer, _exchange(edits.free_name(f"{name_of(layer)}_batch_first")))
    if config_of(layer).get("return_sequences"):
        edits.after(layer, _exchange(edits.free_name(f"{name_of(layer)}_time_first")))


def _exchange(name: str) -> Json:
    item = keras_object("keras.src.ops.numpy", "Transpose", {"name": name, "axes": [1, 0, 2]})
    return {**item, "registered_name": "Transpose"}


MIGRATION = Migration(
    "KG410",
    "Keras 2",
    lambda w: w.before_keras3,
    rewrite,
    words=("GRU", "LSTM", "RNN", "Bidirectional"),
)
