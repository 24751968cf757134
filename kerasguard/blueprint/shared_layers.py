"""Which places of a stored architecture have one and the same layer.

A `.keras` of Keras 3 marks a layer that is written again, with a number. The first one is marked,
too, unless it is in a model inside, whose config Keras has copied by then. An `.h5` has no marks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kerasguard.blueprint.entries import entries_of, keys_of
from kerasguard.tensors import LayerRecord

__all__ = ["shared_places"]


def shared_places(
    architecture: Mapping[str, Any], layers: Mapping[str, LayerRecord], own: Collection[str] = ()
) -> dict[str, str]:
    """By the key of a place, the key of the place that has the same layer first.

    Args:
        architecture: of the whole model.
        layers: what it spells out, by key, in its order.
        own: keys of layers that have weights, themselves or in their parts; they are the first.
    """
    marks = dict(_marks(architecture))
    found, first = dict[str, str](), dict[object, str]()
    unmarked: dict[object, list[str]] = {}
    for key, layer in layers.items():
        look = layer.class_name, layer.name, layer.config_digest
        mark = marks.get(key)
        marked = (mark, look)
        if _around(key, found):
            continue
        if mark is None:
            unmarked.setdefault(look, []).append(key)
        elif key in own:
            first.setdefault(marked, key)
        elif marked in first:
            found[key] = first[marked]
        elif len(before := unmarked.get(look, [])) == 1:
            found[key] = first[marked] = before[0]
        else:
            first[marked] = key
    return found


def _marks(architecture: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Keys of layers and the numbers that they are marked with; operations are never shared."""
    todo = [(architecture, "")]
    while todo:
        around, prefix = todo.pop()
        entries = entries_of(around) or []
        for entry, key in zip(entries, keys_of(entries, prefix), strict=True):
            mark = entry.get("shared_object_id")
            if isinstance(mark, int) and key.rpartition("/")[0].rpartition("/")[2] == "layers":
                yield key, mark
            todo.append((entry, key))


def _around(key: str, found: Mapping[str, str]) -> bool:
    parts = key.split("/")
    return any("/".join(parts[:n]) in found for n in range(2, len(parts)))
