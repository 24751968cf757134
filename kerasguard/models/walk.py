"""The walk over a live model that Keras' saving makes, without writing anything.

Keras addresses a variable by the attributes that lead to it. `walk` visits the same objects in
the same order under the same paths, so that the keys made of them equal the keys of the HDF5
file that Keras writes. It is faster in that it looks only at attributes that can lead somewhere.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kerasguard.blueprint.architecture import unique_name
from kerasguard.models.kerases import (
    Habits,
    Keras,
    is_foreign,
    is_layer,
    is_optimizer,
    of,
    own_attributes,
)
from kerasguard.models.untracked import untracked
from kerasguard.tensors import snake_case

__all__ = ["Visit", "habits_for", "walk"]

_CONTAINERS = (list, dict, tuple)
_NO_STATE = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    staticmethod,
    classmethod,
    str,
    int,
    float,
    type(None),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One object that Keras' saving would visit.

    Args:
        path: where it lies in the file, `layers/dense`; empty for the model itself.
        object: the layer, optimizer, operation, ...
        names: the names of the layers on the way to it, below the model, its own included.
    """

    path: str
    object: Any
    names: tuple[str, ...]

    def key(self, variable: str) -> str:
        """Key of one of the object's tensors."""
        return f"{self.path}/vars/{variable}" if self.path else f"vars/{variable}"

    def stored(self) -> dict[str, Any] | None:
        """What the object would store of its own, by the name that it would store it under.

        Keras variables as themselves where it stores them as such, arrays elsewhere. None where
        it cannot tell yet: a lookup that was never adapted has no weights to show.
        """
        return of(self.object).stored(self.object)

    @property
    def plain(self) -> bool:
        """Whether loading the object is no more than assigning the variables that it stores.

        So it is where Keras' own code loads and nothing is quantised, provided that what is
        stored are variables; everything else gets its `load_own_variables` called.
        """
        return of(self.object).loads_plainly(self.object)


def habits_for(model: Any, keys: str) -> Habits:
    """How to walk for a format: one whose keys differ from the walk's has what tf_keras passes by.

    Args:
        model: of Keras.
        keys: of `Traits.keys`.
    """
    own = of(model).HABITS
    return own if keys == "walk" else replace(own, nested=True)


def walk(model: Any, habits: Habits | None = None) -> Iterator[Visit]:
    """Visit `model` and everything below it that Keras' saving would visit, in its order.

    Last come optimizers in objects that are none of Keras', which its saving passes by.

    Args:
        model: of Keras, or a layer.
        habits: of the version that saves; by default the model's own.
    """
    going = _Walk(of(model), habits or of(model).HABITS)
    foreign = []
    for visit in going.visit(model, "", ()):
        yield visit
        if is_layer(visit.object) and is_foreign(visit.object):
            foreign.append(visit)
    for visit in foreign:
        skipped = going.skipped(visit.object)
        for names, item in untracked(visit.object, going.visited.__contains__, skipped):
            if is_optimizer(item):
                path = "/".join(filter(None, (visit.path, *names)))
                yield from going.visit(item, path, visit.names)


class _Walk:
    """State of one walk: what was visited, and which attributes of a class may hold state."""

    def __init__(self, keras: Keras, habits: Habits) -> None:
        self.keras, self.habits = keras, habits
        self.own = (
            habits.order == keras.HABITS.order
        )  # else the lists are put in the order of another Keras
        self.visited: set[int] = set()
        self.saveable = keras.saveable_class()
        self.containers = (*_CONTAINERS, set) if habits.sets else _CONTAINERS
        self.class_attributes: dict[type, tuple[frozenset[str], dict[str, bool]]] = {}

    def visit(self, item: Any, path: str, names: tuple[str, ...]) -> Iterator[Visit]:
        if id(item) in self.visited:
            return
        self.visited.add(id(item))
        if path and is_layer(item):
            names = (*names, str(item.name))
        yield Visit(path, item, names)
        for attribute, child in self.children(item):
            child_path = f"{path}/{attribute}" if path else attribute
            if isinstance(child, self.saveable):
                yield from self.visit(child, child_path, names)
            else:
                yield from self.container(child, child_path, names, set())

    def container(
        self, items: Any, path: str, names: tuple[str, ...], seen: set[int]
    ) -> Iterator[Visit]:
        if id(items) in seen:
            return
        seen.add(id(items))
        used: dict[str, int] = {}
        for item in list(items.values()) if isinstance(items, dict) else items:
            if isinstance(item, self.saveable):
                if id(item) in self.visited and not self.habits.recounts:
                    continue
                name = unique_name(snake_case(type(item).__name__), used)
                yield from self.visit(item, f"{path}/{name}", names)
            elif self.habits.nested and isinstance(item, self.containers):
                name = unique_name("container", used)
                yield from self.container(item, f"{path}/{name}", names, seen)

    def children(self, item: Any) -> Iterator[tuple[str, Any]]:
        kind = self.keras.object_type(item)
        skipped, from_class = self.attributes_of(type(item), kind)
        falling = self.habits.order == "falling"
        if kind in ("Sequential", "Functional") and not falling:
            yield "layers", item.layers
        wanted = (self.saveable, *self.containers)
        own = own_attributes(item)
        candidates = [
            name
            for name, value in own.items()
            if isinstance(value, wanted)
            and name not in skipped
            and name not in from_class
            and not name.startswith("__")
        ]
        candidates += from_class
        if kind in ("Sequential", "Functional") and falling and not self.own:
            candidates.append("layers")
        by_name = None if self.habits.order != "layers first" else _private_last
        for name in sorted(candidates, key=by_name, reverse=falling):
            try:
                child = getattr(item, name)
            except Exception:  # noqa: BLE001, S112  # a property may raise anything; so Keras
                continue
            if name == "layers" and by_name is None and not self.own:
                child = _sorted_dicts(child, own)
            if isinstance(child, wanted):
                yield name, child

    def skipped(self, item: Any) -> frozenset[str]:
        """Names of attributes that every object of this kind has."""
        return self.attributes_of(type(item), self.keras.object_type(item))[0]

    def attributes_of(self, cls: type, kind: str) -> tuple[frozenset[str], dict[str, bool]]:
        """Names never followed, and the class' own names that may lead to state."""
        known = self.class_attributes.get(cls)
        if known is None:
            skipped = self.keras.attribute_skipset(kind)
            names: dict[str, bool] = {}
            for name in dir(cls):
                if not name.startswith("__") and name not in skipped and _may_hold_state(cls, name):
                    names[name] = True
            known = self.class_attributes[cls] = (skipped, names)
        return known


def _may_hold_state(cls: type, name: str) -> bool:
    """Whether the attribute that `cls` defines could be a saveable object or hold one."""
    for base in cls.__mro__:
        if name in vars(base):
            return not isinstance(vars(base)[name], _NO_STATE)
    return True


def _sorted_dicts(layers: list[Any], own: Mapping[str, Any]) -> list[Any]:
    """A model's layers as Keras 2 listed them: those in a dict in the order of its keys."""
    places = {id(layer): place for place, layer in enumerate(layers)}
    found = list(layers)
    for value in own.values():
        held = [value[key] for key in sorted(value, key=str)] if isinstance(value, dict) else []
        ours = [item for item in held if id(item) in places]
        for place, item in zip(sorted(places[id(item)] for item in ours), ours, strict=True):
            found[place] = item
    return found


def _private_last(name: str) -> str:
    return f"~{name}" if name.startswith("_") else name
