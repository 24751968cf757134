"""Tables without some of their layers, as if the model had been made without them."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import replace

from kerasguard.tensors import LayerRecord, Node, Table

__all__ = [
    "around",
    "inner_model",
    "opened_model",
    "reduced",
    "without",
    "without_tail",
]


def without(table: Table, keys: Container[str]) -> Table:
    """The table without some of its tensors."""
    return replace(table, tensors={k: r for k, r in table.tensors.items() if k not in keys})


def reduced(table: Table, keys: Collection[str]) -> Table:
    """The table without these tensors, and without the layers that nothing else is left of.

    What was called on a layer that is gone is called on what that layer was called on.

    Args:
        table: a model's or a checkpoint's.
        keys: of the tensors.
    """
    if not keys:
        return table
    rest, gone = without(table, keys), _gone(table, keys)
    if not gone:
        return rest
    layers = {
        key: _spliced(layer, table.layers, gone)
        for key, layer in table.layers.items()
        if key not in gone
    }
    ends = {key: both for key, both in table.ends.items() if key not in gone}
    ends = {key: both for key, both in ends.items() if not _touches(both, gone)}
    return replace(rest, layers=layers, ends=ends)


def _touches(both: Iterable[Node], gone: Collection[str]) -> bool:
    return any(key in gone for tensors in both for key, _, _ in tensors)


def _gone(table: Table, keys: Collection[str]) -> set[str]:
    """Layers all of whose weights are among the keys, and those in them."""
    whole: dict[str, int] = {}
    left: dict[str, int] = {}
    for key, record in table.tensors.items():
        if record.role == "optimizer":
            continue
        for path in around(record.layer):
            whole[path] = whole.get(path, 0) + 1
            left[path] = left.get(path, 0) + (key in keys)
    gone = {path for path in table.layers if path in whole and whole[path] == left[path]}
    return gone | {path for path in table.layers if not gone.isdisjoint(around(path))}


def around(path: str) -> Iterator[str]:
    """A layer's path and those of what it lies in."""
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts) + 1))


def without_tail(tables: tuple[Table, Table], whole: tuple[Table, Table]) -> tuple[Table, Table]:
    """Both tables without what only led to a tail that is gone, or followed it.

    Where the last layers with weights were taken from a model, the pooling before them and the
    activation after them are theirs; where nothing was taken from the end, nothing is.

    Args:
        tables: of the model and of the checkpoint, reduced.
        whole: the same before.
    """
    useful = [
        _useful(table.layers, _weighty(rest)) for table, rest in zip(whole, tables, strict=True)
    ]
    cut = any(
        key not in known and key not in rest.layers
        for table, rest, known in zip(whole, tables, useful, strict=True)
        for key in _weighty(table)
    )
    if not cut:
        return tables
    found = []
    for rest in tables:
        known = _useful(rest.layers, _weighty(rest))
        layers = {k: r for k, r in rest.layers.items() if r.inbound is None or k in known}
        ends = {
            k: both
            for k, both in rest.ends.items()
            if not _touches(both, rest.layers.keys() - layers.keys())
        }
        found.append(replace(rest, layers=layers, ends=ends))
    return found[0], found[1]


def _weighty(table: Table) -> set[str]:
    """Layers that have weights, and the models that these lie in."""
    owners = {r.layer for r in table.tensors.values() if r.role == "weight"}
    return {path for owner in owners for path in around(owner) if path in table.layers}


def _useful(layers: Mapping[str, LayerRecord], weighty: Collection[str]) -> set[str]:
    """Layers that layers with weights are reached from, themselves included."""
    last: dict[str, list[str]] = {}
    for key in _ends(layers):
        around = key.rpartition("/layers/")[0] or key.rpartition("/operations/")[0]
        last.setdefault(around, []).append(key)
    found: set[str] = set()
    waiting = [key for key in weighty if key in layers]
    while waiting:
        key = waiting.pop()
        if key in found:
            continue
        found.add(key)
        sources = {source for call in layers[key].inbound or () for source, _, _ in call}
        waiting += [source for source in sources if source in layers]
        # A model inside is reached through its last layers, but only by what follows it.
        waiting += [end for source in sources for end in last.get(source, ())]
    return found


def _ends(layers: Mapping[str, LayerRecord]) -> list[str]:
    """Layers whose calls are known and that no other is called on."""
    used = {s for layer in layers.values() for call in layer.inbound or () for s, _, _ in call}
    return [key for key, layer in layers.items() if layer.inbound is not None and key not in used]


def _spliced(
    layer: LayerRecord, layers: Mapping[str, LayerRecord], gone: Collection[str]
) -> LayerRecord:
    """The layer as if it were called on what the layers that are gone were called on."""
    if layer.inbound is not None:
        layer = replace(layer, inbound=_calls(layer.inbound, layers, gone, traced=False))
    if layer.use is not None and layer.use.graph is not None:
        graph = _calls(layer.use.graph, layers, gone, traced=True)
        layer = replace(layer, use=replace(layer.use, graph=graph))
    return layer


def _calls(
    calls: tuple[Node, ...],
    layers: Mapping[str, LayerRecord],
    gone: Collection[str],
    *,
    traced: bool,
) -> tuple[Node, ...]:
    if not any(source in gone for call in calls for source, _, _ in call):
        return calls
    return tuple(tuple(_through(call, layers, gone, traced=traced)) for call in calls)


def _through(
    call: Node, layers: Mapping[str, LayerRecord], gone: Collection[str], *, traced: bool
) -> Iterator[tuple[str, int, int]]:
    """The tensors of a call, with what a layer was called on in the place of what it made."""
    waiting, seen = list(reversed(call)), set()
    while waiting:
        source, number, tensor = waiting.pop()
        if source not in gone:
            yield source, number, tensor
            continue
        if (source, number) in seen or source not in layers:
            continue
        seen.add((source, number))
        made = _known(layers[source], traced=traced)
        if made:
            waiting += reversed(made[number % len(made)])


def _known(layer: LayerRecord, *, traced: bool) -> tuple[Node, ...]:
    if traced and layer.use is not None and layer.use.graph is not None:
        return layer.use.graph
    return layer.inbound or ()


def opened_model(table: Table) -> Table | None:
    """The table of the one model inside the model that has all weights; None where none has."""
    root = inner_model(table)
    if not root:
        return None
    start = f"{root}/"
    layers = {key: layer for key, layer in table.layers.items() if key.startswith(start)}
    return replace(table, layers=layers, ends={})


def inner_model(table: Table, keys: Collection[str] | None = None) -> str:
    """Path of the innermost model that all weights lie in; empty for the whole.

    Args:
        table: of a model or of a checkpoint.
        keys: of the weights that matter; by default all of them.
    """
    weights = (
        (r for k, r in table.tensors.items() if k in keys)
        if keys is not None
        else (r for r in table.tensors.values() if r.role == "weight")
    )
    models = {path.rpartition("/layers/")[0] for path in table.layers if "/layers/" in path}
    lists = [set(around(record.layer)) for record in weights]
    shared = set.intersection(*lists) & models & table.layers.keys() if lists else set()
    return max(shared, key=len, default="")
