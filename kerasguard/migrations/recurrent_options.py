"""KG410: options of recurrent layers that Keras 3 does not have.

What it looks like: `time_major`, `implementation`, `num_constants` in LSTM, GRU, SimpleRNN,
ConvLSTM and RNN: `Unrecognized keyword arguments passed to LSTM: {'time_major': False}`.

Why it happens: tf.keras 2.0 to 2.15 wrote them; Keras 3 always puts the batch first.

Source: https://github.com/keras-team/keras/issues/20750; Keras 3 `layers/rnn/rnn.py`.

When it is exact: `time_major=False` and `num_constants` that are not set mean nothing;
`implementation` only chooses how the same numbers are computed. `time_major=True` and constants
are refused: batch and time cannot be exchanged inside a model, and Keras 3 has no constants.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG410": "a recurrent layer has an option that Keras 3 does not have"}

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
    """Drop what says nothing and refuse what does."""
    for item in blueprint.layers(*_CLASSES, "Bidirectional"):
        config, told = config_of(item), []
        if config.pop("implementation", None) is not None:
            told.append("implementation")
        if "time_major" in config:
            if config.pop("time_major"):
                blueprint.refuse(item, "time_major=True: Keras 3 has the batch first only")
            told.append("time_major=False")
        if config.pop("num_constants", None):
            blueprint.refuse(item, f"{class_of(item)} takes constants, which Keras 3 does not")
        if told:
            blueprint.note(item, f"{' and '.join(told)} says nothing in Keras 3")


MIGRATION = Migration("KG410", "Keras 2", lambda w: w.before_keras3, rewrite)
