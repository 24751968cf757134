"""The serialised objects inside a config: `{"class_name": ..., "config": {...}}`.

What kind of object it is (layer, initialiser, ...) follows from the key that holds it, because
old Keras wrote no module.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

__all__ = [
    "Json",
    "Kind",
    "class_of",
    "config_of",
    "copied",
    "is_object",
    "keras_object",
    "kind_of",
    "name_of",
    "objects",
    "replace_all",
    "short_name",
    "without_compiling",
]

Json = dict[str, Any]
Kind = Literal["layer", "initializer", "regularizer", "constraint", "policy", "quantizer"]

_SUFFIXES: tuple[tuple[str, Kind], ...] = (
    ("initializer", "initializer"),
    ("regularizer", "regularizer"),
    ("constraint", "constraint"),
    ("dtype", "policy"),
    ("dtype_policy", "policy"),
    ("quantization_config", "quantizer"),
    ("quantizer", "quantizer"),
)
_NO_OBJECTS = frozenset({"inbound_nodes", "build_config", "compile_config"})
_ADDONS = re.compile(
    r"Addons>(InstanceNormalization|GroupNormalization|Adaptive(Average|Max)Pooling[123]D)"
)


def is_object(value: object) -> bool:
    """Whether this is a serialised object with a config of its own."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), (dict, list))
        and not value["class_name"].startswith("__")
        and value["class_name"] != "function"
    )


def class_of(item: Json) -> str:
    """The class name as migrations know it.

    Without the package for the layers of TensorFlow Addons that Keras 3 computes too;
    `ops.Reshape` for an operation of Keras 3, which is not the layer of that name.
    """
    name = str(item.get("class_name", ""))
    if str(item.get("module") or "").startswith("keras.src.ops."):
        return f"ops.{name}"
    return name.removeprefix("Addons>") if _ADDONS.match(name) else name


def short_name(name: str) -> str:
    """A registered name without its package."""
    return name.rpartition(">")[2]


def config_of(item: Json) -> Json:
    """The object's config; empty for the bare lists of old Sequential models."""
    config = item.get("config")
    return config if isinstance(config, dict) else {}


def name_of(item: Json) -> str:
    """What the graph calls a layer: the name beside the config, else the one inside it."""
    return str(item.get("name") or config_of(item).get("name") or class_of(item))


@functools.lru_cache(1024)
def kind_of(key: str) -> Kind:
    """What an object is, from the key that holds it."""
    for suffix, kind in _SUFFIXES:
        if key.endswith(suffix):
            return kind
    return "layer"


def keras_object(module: str, class_name: str, config: Json) -> Json:
    """A built-in object as Keras 3 writes it."""
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": None,
    }


def objects(value: object, kind: Kind | None = None) -> list[tuple[str, Json]]:
    """Every object inside a JSON value with the key that holds it, outermost first.

    Objects inside lists have the key of the list. Calls (`inbound_nodes`) hold no objects.

    Args:
        value: JSON.
        kind: only objects of this kind; layers are looked for only inside of layers.
    """
    found: list[tuple[str, Json]] = []
    _collect(value, "", kind, found)
    return found


def _collect(value: object, key: str, kind: Kind | None, found: list[tuple[str, Json]]) -> None:
    """Add the objects inside a value to a list: generators in generators take long."""
    if isinstance(value, dict):
        if (kind is None or kind_of(key) == kind) and is_object(value):
            found.append((key, value))
        for inner, item in value.items():
            if not isinstance(item, (dict, list)) or not item or inner in _NO_OBJECTS:
                continue
            held_by = key if inner == "config" else inner
            if kind != "layer" or kind_of(held_by) == "layer":
                _collect(item, held_by, kind, found)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)):
                _collect(item, key, kind, found)


def copied(value: Any) -> Any:
    """A deep copy of JSON, ten times as fast as copying objects of any kind."""
    kind = type(value)  # whether something is a Mapping takes long to tell
    if kind is dict:
        return {key: copied(item) for key, item in value.items()}
    if kind is list:
        return [copied(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [copied(item) for item in value]
    return value


def replace_all(value: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a JSON value, every part of it passed through `change`, innermost first."""
    if isinstance(value, dict):
        return change({key: replace_all(item, change) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return change([replace_all(item, change) for item in value])
    return change(value)


def without_compiling(architecture: Mapping[str, Any]) -> Json:
    """A copy of an architecture without what it, and the models in it, were compiled with."""

    def change(part: Any) -> Any:
        if is_object(part) and "compile_config" in part:
            return {key: value for key, value in part.items() if key != "compile_config"}
        return part

    copy: Json = replace_all(dict(architecture), change)
    return copy
