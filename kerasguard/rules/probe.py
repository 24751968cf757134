"""The model computes something different than when it was saved, although its weights are the same.

What it looks like: every digest agrees, but the predictions differ. A manifest with a probe holds a
seeded input and the model's outputs for it.

Why it happens: a function changed its meaning between versions (`hard_sigmoid`), a default did
(ConvLSTM's activation, an epsilon), the format dropped an option (`axis` in legacy HDF5), a
registered name refers to another function in this process, or a layer did not restore its state
completely (Normalization inside a nested model).

Source: keras issue 19477; measured on Keras 3.15.1.

When the repair is exact: there is none. Make the model compute what it did, or load it as it is
by `probe=False`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.probe import Difference, compared
from kerasguard.tensors.elements import Array

CODES = {
    "KG501": "the model's outputs differ from those when it was saved",
    "KG502": "the model's outputs could not be compared",
}

EXPLANATIONS = {
    "KG502": """\
What it looks like: the manifest has a probe, a seeded input and the model's outputs for it, but
they could not be compared: the model cannot be called on that input, or returns a different number
of outputs or other shapes.

Why it happens: the model's inputs or outputs changed, a layer needs a file or a service that is
missing, or the model was compiled for another device.

Source: the manifest's `probe`; `kerasguard.record(path, model, probe=True)` made it.

When the repair is exact: there is none. Make the model callable as it was, or load without the
comparison with `probe=False`.""",
}


def probe(
    told: Mapping[str, Any],
    recorded: Sequence[Array],
    now: Sequence[Array],
    layers: Sequence[Mapping[str, Any]],
    tolerance: float,
    causes: Sequence[str] = (),
) -> Iterator[Finding]:
    """Yield one finding if an output differs by more than rounding explains.

    Args:
        told: the manifest's probe.
        recorded: the outputs when the model was saved.
        now: the outputs now.
        layers: summaries of the layers' outputs now, as in the manifest; empty without them.
        tolerance: the largest relative difference to accept.
        causes: what is known to differ, the likeliest first.
    """
    apart = [compared(a, b) for a, b in zip(recorded, now, strict=False)]
    if len(recorded) != len(now):
        apart.append(Difference(float("inf"), 0.0))
    index, worst = max(enumerate(apart), key=lambda item: item[1].relative, default=(0, None))
    if worst is None or worst.relative <= (0.0 if _exact(recorded[index:]) else tolerance):
        return
    first = _first(told.get("layers") or (), layers, tolerance)
    where = ""
    if first:
        where = f"; the first layer that differs is {first}"
    elif not told.get("layers"):
        where = '; record with probe="layers" to find the first layer that differs'
    why = f"; likely causes: {'; '.join(causes)}" if causes else ""
    yield Finding(
        "KG501",
        first,
        f"the model's outputs differ from those when it was saved: output {index} differs by up "
        f"to {worst.error:.3g} (largest value {worst.largest:.3g}, accepted {tolerance:.0e} of it)"
        f"{where}{why}. To load it anyway: probe=False",
        Severity.ERROR,
    )


def _exact(outputs: Sequence[Array]) -> bool:
    return not outputs or outputs[0].dtype.kind in "iubOSU"


def _first(
    recorded: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], tolerance: float
) -> str:
    """Name of the first layer whose output is summed up otherwise; empty where none is."""
    found = {layer["key"]: layer for layer in now}
    for layer in recorded:
        mine = found.get(layer["key"])
        if mine is None:
            return str(layer["name"])
        before = np.asarray([[float(v) for v in s] for s in layer["outputs"]])
        after = np.asarray([[float(v) for v in s] for s in mine["outputs"]])
        if before.shape != after.shape or not _alike(before, after, tolerance):
            return str(layer["name"])
    return ""


def _alike(before: Array, after: Array, tolerance: float) -> bool:
    a, b = np.asarray(before, np.float64), np.asarray(after, np.float64)
    scale = np.maximum(np.abs(a[:, 2:3]), 1e-12) if a.size else 1.0  # their largest value
    close = np.abs(a - b) <= tolerance * scale
    return bool(np.all(close | (np.isnan(a) & np.isnan(b))))
