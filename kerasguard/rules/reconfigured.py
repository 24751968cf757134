"""A layer has another configuration than the one that was saved.

What it looks like: the weights fit, but the layer computes something else (another activation,
axis or stride).

Why it happens: the model's code changed after saving, or a default differs between versions
(ConvLSTM's recurrent activation, GRU's `reset_after`).

Source: keras issue 19477 (hard_sigmoid); keras/src/layers/rnn/conv_lstm.py.

When the repair is exact: there is none; load the whole model from the checkpoint instead.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.draft import Draft
from kerasguard.findings import Finding, Severity

CODES = {"KG107": "a layer is configured differently than when it was saved"}


def reconfigured(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per paired layer whose config digest differs from the stored one."""
    for e, s in draft.pairing.layers.items():
        ours, theirs = draft.expected.layers.get(e), draft.stored.layers.get(s)
        if not ours or not theirs or not ours.config_digest or not theirs.config_digest:
            continue
        if ours.config_digest != theirs.config_digest:
            yield Finding(
                "KG107",
                e,
                f"{ours.name}: its configuration differs from the one that was saved "
                f"({theirs.name}); the weights fit but may not mean the same",
                Severity.WARNING,
            )
