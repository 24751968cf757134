"""The variables of a live model by their own path, as the state tree of Keras has them.

The path depends on how a layer was built and on what was made before it in the process; so it is
how a checkpoint calls a tensor, and never its identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kerasguard.layouts import as_walked
from kerasguard.models.kerases import is_variable
from kerasguard.models.live_model import LiveModel
from kerasguard.models.unwritten import hidden_state
from kerasguard.tensors import Table, TensorRecord

__all__ = ["by_path", "walked"]


def by_path(
    model: Any, visits: Iterable[Any], places: Iterable[Any]
) -> Mapping[tuple[str, str], list[TensorRecord]]:
    """Records of all variables, what Keras' own formats leave out included.

    Args:
        model: of Keras.
        visits: of the walk over it.
        places: of the tensors that the visited objects would store.

    Returns:
        By role (that of a weight stands for all but optimizers' and metrics') and path. A variable
        that is stored twice, as an optimizer's in its wrapper's, has two records.
    """
    found: dict[tuple[str, str], list[TensorRecord]] = {}
    visits, places = list(visits), list(places)
    for place in places:
        if place.variable is not None:
            _add(found, place.record, place.variable)
    for held in hidden_state(model, visits, places):
        if is_variable(held.holder, model):
            _add(found, held.record, held.holder)
    return found


def walked(stored: Table, live: LiveModel) -> Table:
    """A state tree under the keys of the very model that was saved; as it is if it is another."""
    paths = by_path(live.model, live.visits, live.places)
    return as_walked(stored, paths, same=True) or stored


def _add(
    found: dict[tuple[str, str], list[TensorRecord]], record: TensorRecord, variable: Any
) -> None:
    role = record.role if record.role in ("optimizer", "metric") else "weight"
    found.setdefault((role, str(variable.path)), []).append(record)
