"""Which weight an optimizer's variable belongs to, and as what; optimizers inside optimizers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kerasguard.models.kerases import Keras, is_optimizer, of, variables_of
from kerasguard.tensors import auto_named

__all__ = ["Slot", "slots_of"]


@dataclass(frozen=True, slots=True)
class Slot:
    """What one variable of an optimizer is for.

    Args:
        name: `momentum`, `iteration`, `learning_rate`.
        weight: the variable that it belongs to; None where it belongs to none.
        within: which inner optimizer has it, `inner_optimizer` or `optimizers/0`; empty for the
            optimizer's own.
    """

    name: str
    weight: Any = None
    within: str = ""


def slots_of(optimizer: Any, among: Sequence[Any] = ()) -> dict[int, Slot]:
    """By the id of an optimizer's variable, what it is for.

    Optimizers keep a list per slot, in the order of the weights they were built for. Where
    they keep none, a variable's name tells: it holds the weight's path. One that belongs to
    no weight and that Keras had to name is called as the attribute that holds it. An optimizer
    that wraps others lists their variables as its own; they stay what they are in the inner one.

    Args:
        optimizer: of either Keras.
        among: variables of the model, which an optimizer of tf_keras does not hold itself.
    """
    keras, found = of(optimizer), dict[int, Slot]()
    for within, inner in _inner(optimizer):
        for key, slot in slots_of(inner, among).items():
            found[key] = replace(slot, within="/".join(filter(None, (within, slot.within))))
    own = {id(v): v for v in variables_of(optimizer) if id(v) not in found}
    weights = keras.trained_by(optimizer, among)
    for attribute, value in vars(optimizer).items():
        if id(value) in own:
            named = not auto_named(keras.leaf(value), "variable")
            found[id(value)] = Slot(keras.leaf(value) if named else attribute.strip("_"))
        elif isinstance(value, list) and len(value) == len(weights) and value is not weights:
            for variable, weight in zip(value, weights, strict=True):
                if id(variable) in own and id(variable) not in found:
                    name = keras.slot_name(variable, weight) or attribute.strip("_")
                    found[id(variable)] = Slot(name, weight)
    for key, variable in own.items():
        if key not in found:
            found[key] = _by_name(keras, variable, weights)
    return found


def _inner(optimizer: Any) -> Iterator[tuple[str, Any]]:
    """The optimizers that an optimizer holds in attributes and lists, by the way to them."""
    for attribute, value in vars(optimizer).items():
        name = attribute.strip("_")
        if is_optimizer(value):
            yield name, value
        elif isinstance(value, (list, tuple)):
            yield from ((f"{name}/{i}", one) for i, one in enumerate(value) if is_optimizer(one))


def _by_name(keras: Keras, variable: Any, weights: Sequence[Any]) -> Slot:
    """A slot of the weight with the longest path that the variable's name holds.

    Where that is none, or several have the same path, it belongs to no weight that could be told.
    """
    fitting = [w for w in weights if keras.slot_name(variable, w)]
    longest = max((len(keras.path(w)) for w in fitting), default=0)
    best = [w for w in fitting if len(keras.path(w)) == longest]
    if len(best) != 1:
        return Slot(keras.leaf(variable))
    return Slot(keras.slot_name(variable, best[0]), best[0])
