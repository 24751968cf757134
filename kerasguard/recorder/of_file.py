"""Whether a checkpoint that exists can be one of the model that it is to be recorded with.

A manifest has its names from that model, and every later load believes them. With the model of
another file they would lead each layer to another one's weights, and the manifest would vouch
for it.
"""

from __future__ import annotations

from typing import Any

from kerasguard.errors import ModelError, listed
from kerasguard.identity.evidence import given_names
from kerasguard.identity.units import units
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.tensors import Table

__all__ = ["check_of_file"]


def check_of_file(live: Any, checkpoint: Checkpoint, stored: Table) -> None:
    """Raise ModelError where the file says of itself that it was saved from another model.

    Names that Keras numbered, and values, say nothing: the model may be built anew and untrained.

    Args:
        live: the model's survey, as `live_model.LiveModel`.
        checkpoint: to be recorded; only one whose keys are the model's says something here.
        stored: its table.
    """
    if checkpoint.traits.keys != "walk":
        return
    expected = live.table
    odd = [
        f"{record.label} is {record.spec} in the file and {live_record.spec} in the model"
        for key, record in stored.tensors.items()
        if record.role == "weight"
        and (live_record := expected.tensors.get(key)) is not None
        and live_record.spec.shape != record.spec.shape
    ]
    named = given_names(units(expected), units(stored))
    odd += [
        f"the layer at {e} in the model is at {s} in the file" for e, s in named.items() if e != s
    ]
    if odd:
        raise ModelError(
            f"{checkpoint.path}: was saved from another model than {live.model.name!r}: "
            f"{listed(odd, 3)}; pass the model that it was saved from, or none"
        )
