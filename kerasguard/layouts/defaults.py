"""Weights alone do not tell what a layer computes, and some layers' defaults have changed.

Recurrent activations: `hard_sigmoid` until Keras 2.2 and TensorFlow 1 (LSTM, GRU) and until Keras
2 (ConvLSTM), `sigmoid` today; and `hard_sigmoid` itself is another function since Keras 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from kerasguard.findings import Finding, Severity
from kerasguard.layouts.pairing import Group

__all__ = ["changed_defaults"]

_PLAIN = ("LSTM", "LSTMCell", "GRU", "GRUCell")


def changed_defaults(models: Iterable[Group], writer: Mapping[str, str]) -> Iterator[Finding]:
    """One warning for all layers whose defaults the writer did not share.

    Args:
        models: layers that code of today made, and that take weights of an old file.
        writer: of that file.
    """
    version = tuple(int(part) for part in re.findall(r"\d+", writer.get("keras", "1"))[:2])
    old = []
    for group in models:
        classes = {leaf.class_name for leaf in group.leaves}
        plain = version < (2, 3) and bool(classes & set(_PLAIN))
        if plain or (version < (3,) and any(c.startswith("ConvLSTM") for c in classes)):
            old.append(group.name)
    if old:
        yield Finding(
            "KG206",
            "",
            f"{', '.join(old)}: recurrent activations may have been hard_sigmoid by "
            f"default when Keras {writer.get('keras', '1')} wrote the file and are sigmoid today, "
            "which weights cannot tell; "
            "load a full model, or build these layers with recurrent_activation= as it was "
            "(Keras 2's is clip(0.2 * x + 0.5, 0, 1))",
            Severity.WARNING,
        )
