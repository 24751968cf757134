"""What functions that were traced before an assignment hold of before, and how it is renewed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kerasguard.models.journal import Journal
from kerasguard.models.kerases import KERAS3, is_a, of

__all__ = ["derive", "finalise", "is_normalisation", "retrace"]

_TRACED = ("train_function", "test_function", "predict_function")


def is_normalisation(layer: Any) -> bool:
    """Whether it computes with constants that it makes of its variables."""
    return is_a(layer, "Normalization")


def finalise(model: Any, layers: Iterable[Any], journal: Journal) -> None:
    """Let normalisations use the mean and variance they now have, wherever they lie.

    Functions traced before hold tables and constants of before, so they are traced again.
    """
    for layer in layers:
        if is_normalisation(layer):
            journal.layer(layer)
            layer.finalize_state()
    retrace(model, journal)


def derive(model: Any, layer: Any, journal: Journal) -> None:
    """Let a Discretization of tf_keras make its boundaries of the summary that it was given.

    tf_keras stores the summary that `adapt` makes, and forgets the boundaries.
    """
    if of(layer) is KERAS3 or not is_a(layer, "Discretization"):
        return
    if layer.num_bins is not None and layer.summary.read_value().shape[-1]:
        journal.layer(layer)
        layer.finalize_state()
        retrace(model, journal)


def retrace(model: Any, journal: Journal) -> None:
    """Have the functions that the model has traced made anew, which are traced when called.

    They are made at once: a `fit` in which a callback loads calls what it made before.
    """
    traced = {name: getattr(model, name, None) for name in _TRACED}
    for name, function in traced.items():
        if function is not None:
            journal.attribute(model, name)
            setattr(model, name, None)
            getattr(model, f"make_{name}")()
