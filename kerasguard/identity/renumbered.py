"""Weights under the keys that Keras would give to a part of a model by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kerasguard.identity.reduced import around as parts_around
from kerasguard.identity.reduced import inner_model
from kerasguard.tensors import LayerRecord, Node, Table

__all__ = ["Renumbered", "renumbered"]


@dataclass(frozen=True)
class Renumbered:
    """The weights and layers of a table under other keys.

    Args:
        table: with the new keys; weights only.
        old: the old key by the new one, of layers and of tensors.
    """

    table: Table
    old: Mapping[str, str]


def renumbered(table: Table) -> Renumbered:
    """The weights under the keys that Keras would give if it had only these layers.

    Keras numbers the layers of a class within the list that holds them: without `layers/dense`,
    `layers/dense_1` is `layers/dense`. Where all that is left lies in one model inside the model,
    its keys are those of that model alone.
    """
    weights = [record for record in table.tensors.values() if record.role == "weight"]
    root = inner_model(table)
    start = f"{root}/" if root else ""
    inside = [path for path in table.layers if path.startswith(start)]
    paths = [*inside, *(record.layer for record in weights)]
    new = _numbers(
        dict.fromkeys(part for path in paths for part in parts_around(path)), table.layers
    )
    if root:
        begin = f"{new[root]}/"
        new = {old: made.removeprefix(begin) for old, made in new.items()}

    def moved(key: str) -> str:
        head, found, rest = key.rpartition("/vars/")
        return f"{new.get(head, head)}{found}{rest}" if found else key

    tensors = {moved(r.key): replace(r, key=moved(r.key), layer=new[r.layer]) for r in weights}
    layers = {new[path]: _pointed(table.layers[path], new) for path in inside}
    old = {made: path for path, made in new.items() if path.startswith(start)}
    old |= {moved(record.key): record.key for record in weights}
    return Renumbered(replace(table, tensors=tensors, layers=layers, ends={}), old)


_NUMBER = re.compile(r"(.*?)_([0-9]{1,18})")


def _numbers(parts: Iterable[str], layers: Mapping[str, LayerRecord]) -> dict[str, str]:
    """New paths by old ones: in a list, the next number of the class; elsewhere the same name."""
    last: dict[str, str] = {"": ""}
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    parts = list(parts)
    for part in parts:
        around, _, name = part.rpartition("/")
        last[part] = name
        if around and around not in layers:  # a list; no layer holds a layer in a number
            match = _NUMBER.fullmatch(name)
            stem, number = (match[1], int(match[2])) if match else (name, 0)
            groups.setdefault((around, stem), []).append((number, part))
    for (_, stem), members in groups.items():
        for rank, (_, part) in enumerate(sorted(members)):
            last[part] = f"{stem}_{rank}" if rank else stem
    new = {"": ""}
    for part in parts:  # what is around comes first
        around = new[part.rpartition("/")[0]]
        new[part] = f"{around}/{last[part]}" if around else last[part]
    return new


def _pointed(layer: LayerRecord, new: Mapping[str, str]) -> LayerRecord:
    """The layer with the new keys of what it is called on."""

    def nodes(calls: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple(tuple((new.get(k, k), i, t) for k, i, t in call) for call in calls)

    if layer.inbound is not None:
        layer = replace(layer, inbound=nodes(layer.inbound))
    layer = replace(layer, key=new[layer.key])
    if layer.use is not None and layer.use.graph is not None:
        layer = replace(layer, use=replace(layer.use, graph=nodes(layer.use.graph)))
    return layer
