"""The layers that a stored architecture spells out, one model at a time, and their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kerasguard.tensors import snake_case

__all__ = ["EXPORTED", "class_in", "entries_of", "keys_of", "unique_name"]

_OPERATION_MODULES = ("keras.src.ops.", "keras.ops.", "keras.operations.")

# One layer is exported, and so serialised, under a different name than its class has; automatic
# names and keys follow the class.
EXPORTED = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Own names of classes, as in `.h5`, by those that Keras offers them under, as in `.keras`."""


def unique_name(name: str, used: dict[str, int]) -> str:
    """`name` the first time, then `name_1`, `name_2`; counts in `used`."""
    used[name] = used.get(name, -1) + 1
    return f"{name}_{used[name]}" if used[name] else name


def entries_of(architecture: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The layers' own architectures, without a Sequential's input layer; None if no graph."""
    config = architecture.get("config")
    if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
        return None
    entries = config["layers"]
    if not all(isinstance(entry, Mapping) and "class_name" in entry for entry in entries):
        return None
    if "input_layers" in config:
        return list(entries)
    if not all("inbound_nodes" not in entry for entry in entries):
        return None
    return [entry for entry in entries if entry["class_name"] != "InputLayer"]


def keys_of(entries: Sequence[Mapping[str, Any]], prefix: str) -> list[str]:
    """Keys of the entries of a model that lies at `prefix`."""
    used: dict[str, dict[str, int]] = {"layers": {}, "operations": {}}
    keys = []
    for entry in entries:
        module = str(entry.get("module") or "")
        kind = "operations" if module.startswith(_OPERATION_MODULES) else "layers"
        name = unique_name(snake_case(class_in(entry)), used[kind])
        keys.append("/".join(filter(None, (prefix, kind, name))))
    return keys


def class_in(entry: Mapping[str, Any]) -> str:
    """An entry's class by its own name, without the package."""
    name = str(entry.get("class_name", "")).rsplit(">", 1)[-1]
    return EXPORTED.get(name, name)
