"""Where a model holds a variable: the path of attributes, list entries and dict keys to it.

Not every variable is stored as itself: a layer may store what it likes. What belongs to such a
variable, an optimizer's momentum, is known by where the variable is held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from kerasguard.blueprint.architecture import unique_name
from kerasguard.models.kerases import is_layer, is_variable, of
from kerasguard.models.walk import Visit
from kerasguard.tensors import auto_named, snake_case

__all__ = ["held_at", "named_layers"]

_DEPTH = 4


def held_at(wanted: Collection[int], visits: Sequence[Visit]) -> dict[int, tuple[str, str]]:
    """Key and name of variables that are stored by no key of their own.

    Args:
        wanted: ids of the variables.
        visits: of the walk over the model.

    Returns:
        By id, `<layer's path>/held/<attribute>`, and what a person calls it; what no layer holds
        is left out.
    """
    left, found = set(wanted), dict[int, tuple[str, str]]()
    visited = {id(visit.object) for visit in visits}
    for visit in visits if left else ():
        if is_layer(visit.object):
            for way, variable in _inside(visit.object, visited):
                if id(variable) in left:
                    left.discard(id(variable))
                    name = "/".join((*visit.names, *way))
                    found[id(variable)] = ("/".join((visit.path, "held", *way)).lstrip("/"), name)
        if not left:
            break
    return found


def _inside(layer: Any, visited: set[int]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The variables of a layer and of the layers in it that Keras' saving passes by."""
    _, states = of(layer).own_state(layer)
    own, seen = {id(state): state for state in states}, set[int]()
    for attribute, value in vars(layer).items():
        if attribute.startswith("_self_"):  # where TensorFlow lists what it tracks once more
            continue
        for way, variable in _flat(value, (attribute.lstrip("_"),), layer):
            if id(variable) in own and id(variable) not in seen:
                seen.add(id(variable))
                yield way, variable
    for index, state in enumerate(states):
        if id(state) not in seen:
            yield (str(index),), state
    inner = [one for one in of(layer).sublayers(layer) if id(one) not in visited]
    for name, one in named_layers(inner):
        visited.add(id(one))
        for way, variable in _inside(one, visited):
            yield (name, *way), variable


def _flat(value: Any, way: tuple[str, ...], owner: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The variables in an attribute, in lists and dicts too, but for those that list them all."""
    if is_variable(value, owner):
        yield way, value
    elif len(way) < _DEPTH and not way[0].endswith(("trainable_variables", "losses")):
        if isinstance(value, Mapping):
            items = [(str(key), item) for key, item in value.items()]
        elif isinstance(value, (list, tuple)):
            items = [(str(index), item) for index, item in enumerate(value)]
        else:
            return
        for name, item in items:
            yield from _flat(item, (*way, name), owner)


def named_layers(layers: Sequence[Any]) -> list[tuple[str, Any]]:
    """Layers by their own names; those that Keras named by class and rank, as it numbers them.

    Of a set nothing else is stable: its order changes from process to process, and so do the
    numbers in the names.
    """
    used: dict[str, int] = {}
    made_up: dict[str, list[tuple[int, Any]]] = {}
    result = []
    for layer in layers:
        name, kind = str(layer.name), snake_case(type(layer).__name__)
        if auto_named(name, kind):
            number = name[len(kind) :].lstrip("_")
            made_up.setdefault(kind, []).append((int(number or 0), layer))
        else:
            result.append((unique_name(name, used), layer))
    for kind, numbered in made_up.items():
        ordered = sorted(numbered, key=lambda item: item[0])
        result += [(unique_name(kind, used), layer) for _, layer in ordered]
    return result
