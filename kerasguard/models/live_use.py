"""What a model's code does with its layers: where it holds them, what it gave them, their policy.

Nothing of this is in a checkpoint of Keras, nor in the configs that it keeps.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from kerasguard.models.call_arguments import UnknownValueError, text_of
from kerasguard.models.kerases import (
    is_a,
    is_foreign,
    is_layer,
    is_model,
    is_variable,
    of,
    own_attributes,
    stock_modules,
)
from kerasguard.models.walk import Visit, walk
from kerasguard.tensors import LayerRecord, Node, Use

__all__ = ["Calls", "Uses", "use_of_model", "variable_places", "waits_for_weights"]

Calls = tuple[tuple[str, ...] | None, tuple[Node, ...] | None]
_DEPTH = 4  # of containers in containers
# Classes that switch it off themselves.
_NEVER_CAST = ("Embedding", "GroupNormalization", "LayerNormalization")
_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")
_OF_EVERY_LAYER = frozenset({"self", "name", "dtype", "trainable", "autocast", "inputs", "outputs"})


def use_of_model(model: Any) -> Use | None:
    """What the code says of a whole model; None where that is nothing, as of most of Keras' own."""
    if not is_model(model):
        return None
    ends = _named_ends(model)
    if not is_foreign(model):
        return Use(settings=ends) if ends else None
    return Use(policy=_policy(model), settings={**_settings(model), **ends})


def _named_ends(model: Any) -> dict[str, str]:
    """How a graph's inputs and outputs are called and nested; nothing where they are a plain list.

    Which of the graph's tensors they are is told by the graph.
    """
    found = {}
    for what in ("inputs", "outputs"):
        structure = own_attributes(model).get(f"_{what}_struct")
        items = structure if isinstance(structure, (list, tuple)) else [structure]
        if any(isinstance(item, (Mapping, list, tuple)) for item in items):
            with contextlib.suppress(UnknownValueError):
                found[what] = text_of(structure)
    return found


class Uses:
    """What is learned once of the code of a model."""

    def __init__(self, visits: Sequence[Visit]) -> None:
        self.held: dict[int, list[str]] = {}
        for visit in visits:
            if is_layer(visit.object) and is_foreign(visit.object):
                for place, item in _held(visit.object):
                    if is_layer(item):
                        full = f"{visit.path}.{place}".lstrip(".")
                        self.held.setdefault(id(item), []).append(full)

    def of(self, layer: Any, calls: Calls = (None, None), *, hidden: bool) -> Use:
        """What the code does with one layer.

        Args:
            layer: of the model.
            calls: `arguments` and `graph` of the layer's use.
            hidden: whether it is a part of one of Keras' own layers, whose config tells the rest.
        """
        if hidden:
            return Use(*calls, policy=_policy(layer))
        return Use(
            *calls,
            policy=_policy(layer),
            held=tuple(sorted(self.held.get(id(layer), ()))),
            settings=_settings(layer),
            built=not waits_for_weights(layer),
        )


def keep_uncast(model: Any, layers: Mapping[str, LayerRecord]) -> None:
    """Have the layers of a model that was just built cast their inputs no more than they did.

    `autocast=False` is in no config, so Keras forgets it (keras issue 17362).

    Args:
        model: of Keras.
        layers: as they were recorded, by the path of Keras' walk.
    """
    uncast = {k for k, layer in layers.items() if layer.use and "autocast" in layer.use.settings}
    for visit in walk(model) if uncast else ():
        if visit.path in uncast:
            visit.object.autocast = False


def variable_places(layer: Any) -> dict[int, str]:
    """Where a user-defined layer holds its variables, by their ids; the plainest place."""
    if not is_layer(layer) or not is_foreign(layer):
        return {}
    found: dict[int, str] = {}
    for place, item in sorted(_held(layer), key=lambda one: ("[" in one[0], one[0])):
        if is_variable(item, layer):
            found.setdefault(id(item), place)
    return found


def _settings(layer: Any) -> dict[str, str]:
    """What a layer was given, by argument of its constructor, where it keeps it by that name.

    Of Keras' own layers, functions of the user's own only: their configs tell everything else.
    """
    found = {}
    own, foreign = own_attributes(layer), is_foreign(layer)
    if own.get("autocast") is False and not any(is_a(layer, name) for name in _NEVER_CAST):
        found["autocast"] = "False"
    for name in _arguments(layer.__class__):
        value = own.get(name, own.get(f"_{name}"))
        if value is None or (not foreign and not _is_own_function(value)):
            continue
        if name.endswith(_OF_TRAINING):
            continue
        try:
            found[name] = text_of(value)
        except UnknownValueError:
            continue
    return found


def waits_for_weights(layer: Any) -> bool:
    """Whether nothing built the layer, so that it has no variables and would make some."""
    if layer.built or layer.variables or type(layer).build is of(layer).LAYER.build:
        return False
    if is_foreign(layer):
        return True
    build = inspect.unwrap(type(layer).build)
    return "add_weight" in getattr(getattr(build, "__code__", None), "co_names", ())


@lru_cache(1024)
def _arguments(cls: Any) -> tuple[str, ...]:
    try:
        told = inspect.signature(cls.__init__).parameters.values()
    except (TypeError, ValueError):
        return ()
    named = (p.name for p in told if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return tuple(name for name in named if name not in _OF_EVERY_LAYER)


def _is_own_function(value: Any) -> bool:
    if isinstance(value, functools.partial):
        return True
    if is_layer(value) or not callable(value) or isinstance(value, type):
        return False
    home = value.__module__ if inspect.isfunction(value) else type(value).__module__
    return not str(home).startswith((*stock_modules, "builtins"))


def _policy(layer: Any) -> str:
    """Name of the policy; empty where other layers' policies decide, or nothing is computed."""
    policy = layer.dtype_policy
    kind = of(layer).object_type(layer)
    if kind in ("Functional", "Sequential") or is_a(layer, "InputLayer"):
        return ""
    return "" if type(policy).__name__ == "DTypePolicyMap" else str(policy.name)


def _held(layer: Any) -> Iterator[tuple[str, Any]]:
    """Layers and variables under a layer's attributes, in lists, tuples and dicts, with places."""
    keras = of(layer)
    skipped = keras.attribute_skipset(keras.object_type(layer))
    for name, value in own_attributes(layer).items():
        if name not in skipped:
            yield from _inside(name, value, 0, layer)


def _inside(place: str, value: Any, depth: int, owner: Any) -> Iterator[tuple[str, Any]]:
    if is_layer(value) or is_variable(value, owner):
        yield place, value
    elif depth < _DEPTH and isinstance(value, Mapping):
        for key, item in list(value.items()):
            yield from _inside(f"{place}[{key}]", item, depth + 1, owner)
    elif depth < _DEPTH and isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _inside(f"{place}[{index}]", item, depth + 1, owner)
