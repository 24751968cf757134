"""What a stored Keras architecture tells about its layers, without Keras.

An architecture is JSON: `{"class_name": ..., "config": ...}` as in a `.keras` file's
`config.json`. `layer_records` reads the layers, their keys, graph and config digests out of it;
`models/live_model.py` takes the same out of a live model, with the functions of this
module, so that the two can be compared.

A config digest leaves out what cannot change a prediction (initialisers, regularisers,
constraints, seeds, whether a layer is trainable), what the tensors' specs already tell (dtype
policies, shapes) and every name. Entries that are None or False are left out too: newer writers
add options that are off by default, and those must not make an old config look different.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import xxhash

from kerasguard.blueprint.called_tensors import Called, name_in_calls, ranked, shifted, tensors_of
from kerasguard.blueprint.entries import (
    EXPORTED,
    class_in,
    entries_of,
    keys_of,
    unique_name,
)
from kerasguard.blueprint.shared_layers import shared_places
from kerasguard.tensors import Ends, LayerRecord
from kerasguard.tensors.copies import ends_without_copies, layers_without_copies

__all__ = [
    "EXPORTED",
    "config_digest",
    "counts",
    "graph_digest",
    "graph_ends",
    "layer_configs",
    "layer_places",
    "layer_records",
    "unique_name",
]

_DROPPED_KEYS = frozenset(
    {
        "activity_regularizer",
        "batch_input_shape",
        "batch_shape",
        "build_config",
        "build_input_shape",
        "compile_config",
        "dtype",
        "input_shape",
        "module",
        "name",
        "registered_name",
        "seed",
        "shared_object_id",
        "trainable",
        "vocabulary_size",  # of the vocabulary that is loaded afterwards
    }
)
_DROPPED_ENDINGS = ("_initializer", "_regularizer", "_constraint")
_ESSENCE = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@lru_cache(4096)  # a model's configs have the same few keys again and again
def counts(key: str) -> bool:
    """Whether an entry of a layer's config, by its key, can be part of a config digest."""
    return key not in _DROPPED_KEYS and not key.endswith(_DROPPED_ENDINGS)


def config_digest(class_name: str, config: Any) -> str:
    """Digest of what a layer computes, as far as its config tells.

    Args:
        class_name: of the layer, without its module.
        config: JSON; nested layers' configs may be in it.
    """
    return _digest([class_name, _essence(config)])


def graph_digest(
    class_name: str, nodes: Iterable[tuple[str, Called]], outputs: Sequence[Any]
) -> str:
    """Digest of a model that is a graph of layers.

    Args:
        class_name: `Functional` or `Sequential`, or a subclass's name.
        nodes: per layer, in graph order, its config digest and its calls; in the calls a
            producer is named by its rank.
        outputs: the model's output tensors, as (rank, call, index).
    """
    return _digest([class_name, [list(node) for node in nodes], list(outputs)])


def layer_records(
    architecture: Mapping[str, Any], own: Collection[str] = ()
) -> dict[str, LayerRecord]:
    """Every layer that the architecture spells out, by its key in the checkpoint.

    Layers inside a wrapper or inside a user-defined class are not spelled out and have no
    record. Operations that are not layers (`keras.ops.add` on symbolic tensors) are part of the
    graph and get keys of their own, `operations/add`.

    Args:
        architecture: of the whole model; not changed.
        own: keys of layers with weights of their own in the file, and of all around those.

    Returns:
        Records in graph order, a nested model's layers after the model itself. Empty where the
        model is not a graph of layers. A layer that several models inside share is recorded where
        it comes first.
    """
    records = _spelled_out(architecture)
    return layers_without_copies(records, shared_places(architecture, records, own))


def layer_places(architecture: Mapping[str, Any], own: Collection[str]) -> dict[str, str]:
    """Of a layer that is spelled out again, the key where it comes first; see `shared_places`."""
    return shared_places(architecture, _spelled_out(architecture), own)


def _spelled_out(architecture: Mapping[str, Any]) -> dict[str, LayerRecord]:
    records: dict[str, LayerRecord] = {}
    if entries_of(architecture) is not None:
        _read_graph(architecture, "", records)
    return records


def layer_configs(architecture: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Key, class and config of every layer that is spelled out; see `layer_records`."""
    todo = [(architecture, "")]
    while todo:
        around, prefix = todo.pop()
        entries = entries_of(around) or []
        for entry, key in zip(entries, keys_of(entries, prefix), strict=True):
            if isinstance(entry.get("config"), Mapping):
                yield key, class_in(entry), entry["config"]
            todo.append((entry, key))


def graph_ends(architecture: Mapping[str, Any], own: Collection[str] = ()) -> dict[str, Ends]:
    """Inputs and outputs of every functional model, by its key; `""` is the whole."""
    found: dict[str, Ends] = {}
    todo = [(architecture, "")]
    while todo:
        around, prefix = todo.pop()
        entries = entries_of(around) or []
        keys = keys_of(entries, prefix)
        if "input_layers" in around["config"]:
            names = [name_in_calls(entry) for entry in entries]
            rank = {name: index for index, name in enumerate(names)}
            ends = [_ends(around, kind, entries, rank) for kind in ("input", "output")]
            if all(index >= 0 for tensors in ends for index, _, _ in tensors):
                first, last = (tuple((keys[r], i, j) for r, i, j in tensors) for tensors in ends)
                found[prefix] = first, last
        todo += [(e, k) for e, k in zip(entries, keys, strict=True) if entries_of(e) is not None]
    return ends_without_copies(found, layer_places(architecture, own))


def _read_graph(
    architecture: Mapping[str, Any], prefix: str, records: dict[str, LayerRecord]
) -> str:
    """Record the layers of a graph under `prefix`; the graph's digest."""
    entries = entries_of(architecture) or []
    keys = keys_of(entries, prefix)
    names = [name_in_calls(entry) for entry in entries]
    calls = _calls(architecture, entries)
    rank = {name: index for index, name in enumerate(names)}
    by_name = dict(zip(names, keys, strict=True))
    chained = "input_layers" not in architecture["config"]
    nodes: list[tuple[str, Called]] = []
    for index, (entry, key) in enumerate(zip(entries, keys, strict=True)):
        called = calls[index]
        inbound = tuple(tuple((by_name.get(n, n), i, j) for n, i, j in call) for call in called)
        if chained and index:  # whatever the one before is called: its config may have no name
            inbound = (((keys[index - 1], 0, 0),),)
        record = LayerRecord(key, names[index], class_in(entry), "", inbound, index)
        records[key] = record
        digest = _layer_digest(entry, key, records)
        records[key] = LayerRecord(key, names[index], class_in(entry), digest, inbound, index)
        nodes.append((digest, ranked(called, rank)))
    return graph_digest(class_in(architecture), nodes, _ends(architecture, "output", entries, rank))


def _layer_digest(entry: Mapping[str, Any], key: str, records: dict[str, LayerRecord]) -> str:
    if entries_of(entry) is not None:
        return _read_graph(entry, key, records)
    return config_digest(class_in(entry), entry.get("config"))


def _calls(architecture: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> list[Called]:
    if "input_layers" not in architecture["config"]:
        names = [name_in_calls(entry) for entry in entries]
        return [[[(name, 0, 0)] if name else []] for name in ["", *names[:-1]]]
    calls = [
        [list(tensors_of(call)) for call in entry.get("inbound_nodes", ())] for entry in entries
    ]
    shift = shifted(entries, calls)
    return [[[(n, i - shift.get(n, 0), j) for n, i, j in c] for c in called] for called in calls]


def _ends(
    architecture: Mapping[str, Any],
    kind: str,
    entries: Sequence[Mapping[str, Any]],
    rank: dict[str, int],
) -> list[list[int]]:
    """The model's inputs or outputs as (rank, call, index); of a Sequential none."""
    config = architecture["config"]
    if "input_layers" not in config:
        return []
    nested = {
        name_in_calls(e): len(e.get("inbound_nodes", ()))
        for e in entries
        if entries_of(e) is not None
    }
    found = []
    for name, index, tensor in tensors_of(config.get(f"{kind}_layers", ())):
        shift = 1 if name in nested and index >= max(nested[name], 1) else 0
        found.append([rank.get(name, -1), index - shift, tensor])
    return found


def _essence(value: Any) -> Any:
    """`value` without what a config digest leaves out; plain JSON."""
    if value is None or isinstance(value, (str, int)):  # before what takes longer to tell
        return value
    if isinstance(value, Mapping):
        if entries_of(value) is not None:
            return _read_graph(value, "", {})
        if "class_name" in value and "config" in value:
            return [str(value["class_name"]).rsplit(">", 1)[-1], _essence(value["config"])]
        return {
            str(key): _essence(item)
            for key, item in value.items()
            if item is not None and item is not False and counts(str(key))
        }
    if isinstance(value, (list, tuple)):
        return [_essence(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return repr(value)
        return int(value) if value.is_integer() else value
    return value


def _digest(essence: Any) -> str:
    return f"xxh3:{xxhash.xxh3_128_hexdigest(_ESSENCE.encode(essence).encode())}"
