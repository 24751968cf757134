"""KG417: a recurrent layer called with its initial state as extra inputs.

What it looks like: an LSTM, GRU, RNN or Bidirectional whose call lists several tensors.

Why it happens: Keras 2 passed state tensors after the input; Keras 3 takes them as the keyword
argument `initial_state`.

Source: Keras 2 `RNN.__call__`; Keras 3 `RNN.call`.

When it is exact: always. For a Bidirectional layer the first half is the forward layer's state,
in both.
"""

from __future__ import annotations

from kerasguard.blueprint.nodes import calls_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG417": "a recurrent layer gets its initial state as extra inputs"}

_CLASSES = (
    "Bidirectional",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "GRU",
    "LSTM",
    "RNN",
    "SimpleRNN",
)


def rewrite(blueprint: Blueprint) -> None:
    """Move the states into `initial_state`."""
    for item in blueprint.layers(*_CLASSES):
        moved = False
        for call in calls_of(item):
            inputs = call["args"][0] if call["args"] else None
            if isinstance(inputs, list) and len(inputs) > 1:
                call["args"] = [inputs[0]]
                call["kwargs"]["initial_state"] = inputs[1:]
                moved = True
        if moved:
            blueprint.note(item, "its initial state is now a keyword argument")


MIGRATION = Migration(
    "KG417",
    "Keras 2",
    lambda w: w.before_keras3,
    rewrite,
    words=("GRU", "LSTM", "RNN", "Bidirectional"),
)
