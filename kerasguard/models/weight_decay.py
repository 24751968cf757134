"""Which variables an optimizer does not decay: `exclude_from_weight_decay` is in no config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kerasguard.models.kerases import is_optimizer
from kerasguard.models.optimizers import variables_by_key
from kerasguard.models.walk import Visit, walk

__all__ = ["exclude", "undecayed"]

_EXCLUDED = "_exclude_from_weight_decay"
_MARKS = (_EXCLUDED, f"{_EXCLUDED}_pattern", f"{_EXCLUDED}_names")


def undecayed(model: Any, visits: Sequence[Visit]) -> dict[str, list[str]]:
    """By the path of an optimizer that excludes variables, the keys of those of the model.

    Args:
        model: of either Keras. What is excluded by a part of its name is told by its key, since
            names may be others in the next process.
        visits: of the model.
    """
    some = [v for v in visits if is_optimizer(v.object) and _excludes(v.object)]
    variables = variables_by_key(model, visits) if some else {}
    found = {v.path: _left_out(v.object, variables) for v in some}
    return {path: keys for path, keys in found.items() if keys}


def exclude(model: Any, recorded: Mapping[str, Sequence[str]]) -> None:
    """Have the optimizers of a model that was just built decay what they decayed.

    Args:
        model: of Keras 3.
        recorded: of `undecayed`.
    """
    if not recorded:
        return
    visits = list(walk(model))
    variables = variables_by_key(model, visits)
    for visit in visits:
        keys = recorded.get(visit.path)
        if keys is None or not is_optimizer(visit.object):
            continue
        if set(_left_out(visit.object, variables)) == set(keys):
            continue
        # What `exclude_from_weight_decay` does; it refuses once the optimizer has its slots.
        key_of = visit.object._var_key  # noqa: SLF001
        chosen = {key_of(variables[key]) for key in keys if key in variables}
        setattr(visit.object, _EXCLUDED, chosen)
        setattr(visit.object, f"{_EXCLUDED}_pattern", None)
        setattr(visit.object, f"{_EXCLUDED}_cache", {})


def _excludes(optimizer: Any) -> bool:
    return any(getattr(optimizer, mark, None) for mark in _MARKS)


def _left_out(optimizer: Any, variables: Mapping[str, Any]) -> list[str]:
    try:
        decays = optimizer._use_weight_decay  # noqa: SLF001
        return [key for key, variable in variables.items() if not decays(variable)]
    except Exception:  # noqa: BLE001  # an optimizer of somebody's own may raise anything
        return []
