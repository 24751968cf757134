"""The tensors that the calls of a stored graph take, as (layer name, call, index)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Called", "name_in_calls", "ranked", "shifted", "tensors_of"]

Called = list[list[tuple[str, int, int]]]


def shifted(entries: Sequence[Mapping[str, Any]], calls: Sequence[Called]) -> dict[str, int]:
    """By name, how far the writer counts a nested model's calls too high.

    Some versions of Keras count a model's own construction as its call number zero.
    """
    count = {name_in_calls(entry): len(entry.get("inbound_nodes", ())) for entry in entries}
    lowest: dict[str, int] = {}
    highest: dict[str, int] = {}
    for called in calls:
        for name, index, _ in (tensor for call in called for tensor in call):
            lowest[name] = min(index, lowest.get(name, index))
            highest[name] = max(index, highest.get(name, index))
    return {n: 1 for n in lowest if lowest[n] > 0 and highest[n] >= max(count.get(n, 0), 1)}


def ranked(called: Called, rank: Mapping[str, int]) -> Any:
    """Calls with a layer's rank in the graph for its name; -1 of one that is not there."""
    return [[[rank.get(name, -1), index, tensor] for name, index, tensor in c] for c in called]


def tensors_of(value: Any) -> Iterator[tuple[str, int, int]]:
    """The (layer name, call index, tensor index) in a call's arguments, in Keras' order."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            name, call, tensor = value["config"]["keras_history"][:3]
            yield str(name), int(call), int(tensor)
        else:
            for key in sorted(value):
                yield from tensors_of(value[key])
    elif isinstance(value, (list, tuple)):
        if list(value[:2]) == ["_CONSTANT_VALUE", -1]:  # of any type, in place of a tensor
            yield from tensors_of(value[3:])
        elif len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int):
            yield value[0], value[1], int(value[2])
            yield from tensors_of(value[3:])
        else:
            for item in value:
                yield from tensors_of(item)


def name_in_calls(entry: Mapping[str, Any]) -> str:
    """The name by which calls know a layer; empty where it has none."""
    config = entry.get("config")
    named = config.get("name") if isinstance(config, Mapping) else None
    return str(entry.get("name") or named or "")
