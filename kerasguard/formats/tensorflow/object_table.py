"""From an object graph and its tensors to a table: which layer owns what, and what each is for.

Keys are the checkpoint's own, relative to the Keras model and without their suffix
(`layer_with_weights-0/kernel`). Keras 2 numbers the layers with weights of a model in graph
order; Keras 3 keeps all of them under `_operations`; what a subclassed model holds goes by its
attributes, which are the keys of Keras 3 as well. Records come in the order in which Keras 3
would save the same model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from kerasguard.formats.optimizer_slots import optimizer_layer, with_slots
from kerasguard.formats.tensorflow.object_graph import Node, Rank, Reached, path, reach
from kerasguard.formats.tensorflow.object_layers import CONTAINERS, ELEMENT, INDEX, Layers, Told
from kerasguard.formats.tensorflow.tensor_bundle import Bundle
from kerasguard.tensors import Role, Table, TensorRecord

__all__ = ["ObjectTable", "object_table"]

_METRIC_VARIABLES = frozenset(
    {"total", "count", "accumulator", "true_positives", "true_negatives", "false_positives"}
    | {"false_negatives", "total_confusion_matrix", "num_samples", "squared_sum"}
)
# A Normalization counts what it has adapted to, beside what it makes of it.
_MOMENTS = frozenset(("mean", "variance"))
# Where a SavedModel keeps what a stateful recurrent layer remembers from batch to batch.
_RECURRENT_STATES = ("keras_api", "states")
_METRIC_EDGE = re.compile(r"(_?compile_metrics|compiled_metrics|metrics|_metrics|_loss_tracker)")
_SEED = re.compile(r"(_random_generator|_generator|_?seed_generator|_rng)/|seed_generator_state")


@dataclass(frozen=True)
class ObjectTable:
    """A table, and how to get from it to the bundle.

    Args:
        table: the records.
        names: the bundle's name of every tensor, by key.
        root: the node of the Keras model.
        prefix: where it hangs below the saved object, `model`; empty where it is that object.
        layers: the node of every layer, by key.
    """

    table: Table
    names: Mapping[str, str] = field(default_factory=dict)
    root: int = 0
    prefix: str = ""
    layers: Mapping[str, int] = field(default_factory=dict)


class _Variable(NamedTuple):
    node: int
    parts: tuple[str, ...]
    rank: Rank
    name: str
    full_name: str


def object_table(bundle: Bundle, nodes: Sequence[Node], told: Mapping[int, Told]) -> ObjectTable:
    """The table of an object-based checkpoint.

    Args:
        bundle: the tensors.
        nodes: the object graph; the first is the saved object.
        told: class and name of the objects whose config is stored, by node.

    Raises:
        WireError: the graph is not a graph of a model.
    """
    reached = reach(nodes, 0)
    root, prefix = _model(nodes, reached)
    variables = list(_variables(bundle, nodes, reached))
    layers, keys = Layers(nodes, told), _keys(variables, prefix)
    found: dict[str, tuple[TensorRecord, str]] = {}
    parents = {max(reached[v.node].parent, 0) for v in variables}
    edges = {parent: {edge for edge, _ in nodes[parent].children} for parent in parents}
    ranks = {parent: _ranks(nodes[parent]) for parent in parents}
    for variable in sorted(variables, key=lambda v: _save_order(v, ranks, reached)):
        outside = bool(prefix) and variable.parts[0] != prefix
        beside = edges[max(reached[variable.node].parent, 0)]
        record = _record(bundle, variable, keys[variable.node], beside, outside=outside)
        if variable.rank is Rank.MODEL and record.role != "state":
            start, parts = (
                (0, variable.parts) if outside else (root, variable.parts[bool(prefix) :])
            )
            record = replace(record, layer=layers.add(start, parts, record.name))
        found[record.key] = record, variable.name
    for record, name in _slots(bundle, nodes, reached, keys, prefix):
        found[record.key] = record, name
    known = {name for _, name in found.values()}
    for record in _others(bundle, known):
        found[record.key] = record, record.key
    records = with_slots({key: record for key, (record, _) in found.items()})
    known_layers = layers.records()
    if (optimizer := optimizer_layer(records.values())) is not None:
        known_layers[optimizer.key] = optimizer
    table = Table(records, known_layers, _addressing(records))
    names = {key: name for key, (_, name) in found.items()}
    return ObjectTable(table, names, root, prefix, layers.nodes)


def _variables(
    bundle: Bundle, nodes: Sequence[Node], reached: Mapping[int, Reached]
) -> Iterator[_Variable]:
    """The objects below the root whose value is a tensor of the bundle."""
    for index, here in reached.items():
        value = nodes[index].value if index != 0 else None
        if value is None or value.key not in bundle.entries or bundle.spec(value.key) is None:
            continue
        yield _Variable(index, path(reached, index), here.rank, value.key, value.full_name)


def _model(nodes: Sequence[Node], reached: Mapping[int, Reached]) -> tuple[int, str]:
    """The Keras model's node and the edge that leads to it from a `tf.train.Checkpoint`."""
    edges = {name for name, _ in nodes[0].children}
    holders = set()
    for index, here in reached.items():
        if nodes[index].value is not None and here.rank is Rank.MODEL:
            parts = path(reached, index)
            if len(parts) > 1:
                holders.add(parts[0])
    if _is_container(edges) or len(holders) != 1:
        return 0, ""
    edge = holders.pop()
    child = dict(nodes[0].children)[edge]
    below = {name for name, _ in nodes[child].children}
    made_by_hand = "save_counter" in edges
    if made_by_hand or (edge in ("model", "root") and _is_container(below)):
        return child, edge
    return 0, ""


def _is_container(edges: set[str]) -> bool:
    """Whether the object is a Sequential or functional model."""
    return any(ELEMENT.fullmatch(e) or e in CONTAINERS for e in edges)


def _keys(variables: Sequence[_Variable], prefix: str) -> dict[int, str]:
    """Keys by node, relative to the model; what would collide stays relative to the root."""
    full = {v.node: "/".join(v.parts) for v in variables}
    if not prefix:
        return full
    short = {node: key.removeprefix(f"{prefix}/") for node, key in full.items()}
    count = Counter(short.values())
    return {node: key if count[key] == 1 else full[node] for node, key in short.items()}


def _record(
    bundle: Bundle, variable: _Variable, key: str, beside: Set[str], *, outside: bool
) -> TensorRecord:
    spec = bundle.spec(variable.name)
    assert spec is not None, variable
    full_name = variable.full_name.removesuffix(":0")
    edge, last = variable.parts[-1].lstrip("_"), full_name.rsplit("/", 1)[-1]
    stem, _, number = last.rpartition("_")
    numbered = number.isdecimal() and stem in (edge, "Variable")
    uniquified = edge and (numbered or last == "Variable")
    leaf = edge if uniquified or not last else last
    role = _role(variable, leaf, beside, outside=outside)
    extent = bundle.extent(variable.name)
    return TensorRecord(key, spec, full_name or key, leaf, role=role, extent=extent)


def _role(variable: _Variable, leaf: str, beside: Set[str], *, outside: bool) -> Role:
    """What a variable is for.

    Args:
        variable: it, and the edges that lead to it.
        leaf: its name.
        beside: the edges of the object that holds it.
        outside: whether it hangs beside the model.
    """
    if variable.rank is Rank.OPTIMIZER:
        return "optimizer"
    # a lookup that adapts counts its documents; what is computed with are the weights made of that
    if leaf in ("save_counter", "num_documents", "num_elements") or (
        outside and len(variable.parts) == 1
    ):
        return "state"
    if variable.parts[-3:-1] == _RECURRENT_STATES:
        return "state"
    where = "/".join(variable.parts)
    counts = leaf in _METRIC_VARIABLES and not beside >= _MOMENTS
    if any(map(_METRIC_EDGE.fullmatch, variable.parts[:-1])) or (counts and "/" in where):
        return "metric"
    return "seed" if _SEED.search(f"{where} {variable.full_name}") else "weight"


def _ranks(node: Node) -> dict[int, int]:
    """The place of each child among the children, the first where there are several."""
    return {child: n for n, (_, child) in reversed([*enumerate(node.children)])}


def _save_order(
    variable: _Variable, ranks: Mapping[int, Mapping[int, int]], reached: Mapping[int, Reached]
) -> tuple[object, ...]:
    """Sorts as Keras 3 visits: own variables, then layers in graph order, then attributes."""
    parent = reached[variable.node].parent
    rank = ranks[parent].get(variable.node, 0) if parent >= 0 else 0
    order: list[tuple[int, int, str]] = [_edge_order(edge) for edge in variable.parts[:-1]]
    return (variable.rank is Rank.OPTIMIZER, *order, (0, rank, ""))


def _edge_order(edge: str) -> tuple[int, int, str]:
    if element := ELEMENT.fullmatch(edge):
        return 1, int(element[1]), ""
    if INDEX.fullmatch(edge):
        return 1, int(edge), ""
    if edge in CONTAINERS:
        return 1, -1, ""
    return (3 if edge.startswith("_") else 2), 0, edge


def _slots(
    bundle: Bundle,
    nodes: Sequence[Node],
    reached: Mapping[int, Reached],
    keys: Mapping[int, str],
    prefix: str,
) -> Iterator[tuple[TensorRecord, str]]:
    """The slots that optimizers before TensorFlow 2.11 keep beside their weights."""
    for index in reached:
        for slot in nodes[index].slots:
            value, weight = nodes[slot.value].value, keys.get(slot.weight)
            if value is None or weight is None or value.key not in bundle.entries:
                continue
            spec, extent = bundle.spec(value.key), bundle.extent(value.key)
            if spec is None:
                continue
            owner = "/".join(path(reached, index)).removeprefix(f"{prefix}/")
            key = f"{weight}/.OPTIMIZER_SLOT/{owner}/{slot.name}"
            record = TensorRecord(
                key, spec, value.full_name or key, slot.name,
                role="optimizer", extent=extent, slot=slot.name, slot_of=weight,
            )  # fmt: skip
            yield record, value.key


def _others(bundle: Bundle, known: Set[str]) -> Iterator[TensorRecord]:
    """Tensors that are not a variable of an object: lookup tables, what only the bundle knows."""
    for name in bundle.entries:
        spec = bundle.spec(name)
        if name not in known and spec is not None:
            yield TensorRecord(name, spec, name, role="state", extent=bundle.extent(name))


def _addressing(records: Mapping[str, TensorRecord]) -> Literal["order", "key"]:
    """`order` where every layer is in a Sequential or functional model, else `key`."""
    units = {r.layer for r in records.values() if r.role == "weight"}
    ordered = all(ELEMENT.match(u) or u.split("/")[0] in CONTAINERS for u in units)
    return "order" if ordered and units else "key"
