"""Which weight an optimizer's variable belongs to, and as what."""

from __future__ import annotations

from typing import Any

from kerasguard.tensors import auto_named

__all__ = ["slots_of"]


def slots_of(optimizer: Any) -> dict[int, tuple[str, Any]]:
    """By the id of an optimizer's variable, its slot (`momentum`) and the weight it belongs to.

    Optimizers keep a list per slot, in the order of the weights they were built for. Where
    they keep none, a variable's name tells: it starts with the weight's path. Variables that
    belong to no weight (`iteration`, `learning_rate`) belong to None; one that Keras had to name
    is called as the attribute that holds it.
    """
    weights = list(getattr(optimizer, "_trainable_variables", ()))
    own = {id(variable): variable for variable in optimizer.variables}
    found: dict[int, tuple[str, Any]] = {}
    for attribute, value in vars(optimizer).items():
        if id(value) in own:
            named = not auto_named(value.name, "variable")
            found[id(value)] = (value.name if named else attribute.strip("_"), None)
        elif isinstance(value, list) and len(value) == len(weights) and value is not weights:
            for variable, weight in zip(value, weights, strict=True):
                if id(variable) in own and id(variable) not in found:
                    found[id(variable)] = (_slot(variable, weight) or attribute.strip("_"), weight)
    for key, variable in own.items():
        if key not in found:
            owner = _by_name(variable, weights)
            if owner is not None:
                found[key] = owner
    return found


def _slot(variable: Any, weight: Any) -> str:
    """What the variable's name adds to the weight's path; empty where it does not start so."""
    prefix = _prefix(weight)
    return variable.name[len(prefix) :] if variable.name.startswith(prefix) else ""


def _prefix(weight: Any) -> str:
    path = getattr(weight, "path", weight.name)
    return str(path).replace("/", "_").replace(":", "_") + "_"


def _by_name(variable: Any, weights: list[Any]) -> tuple[str, Any] | None:
    """The weight with the longest path that the variable's name starts with, if it is one."""
    fitting = [w for w in weights if _slot(variable, w)]
    longest = max((len(_prefix(w)) for w in fitting), default=0)
    best = [w for w in fitting if len(_prefix(w)) == longest]
    return (_slot(variable, best[0]), best[0]) if len(best) == 1 else None
