"""The table of what Keras 3's `Model.export` wrote: variables in one list, no layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kerasguard.formats.tensorflow.object_graph import Node
from kerasguard.formats.tensorflow.object_table import ObjectTable
from kerasguard.formats.tensorflow.tensor_bundle import Bundle
from kerasguard.tensors import LayerRecord, Role, Table, TensorRecord

__all__ = ["exported_table", "is_exported"]

_ALL = "_all_variables"


def is_exported(nodes: Sequence[Node]) -> bool:
    """Whether the root is what Keras 3 exports: it has the lists of all variables, no layers."""
    edges = {edge for edge, _ in nodes[0].children} if nodes else set()
    return {"variables", "trainable_variables", _ALL} <= edges and "keras_api" not in edges


def exported_table(bundle: Bundle, nodes: Sequence[Node]) -> ObjectTable:
    """The variables in the model's order, keyed by their paths where these are unique.

    A variable's scope stands for its layer. The list `_all_variables` repeats every variable, in
    no order; its copies are state.
    """
    edges = dict(nodes[0].children)
    found = []
    for place, child in nodes[edges["variables"]].children:
        value = nodes[child].value
        if value is not None and value.key in bundle.entries:
            found.append((f"variables/{place}", value.full_name, value.key))
    count = Counter(full_name for _, full_name, _ in found)
    unique = all(number == 1 and "/" in full_name for full_name, number in count.items())
    records: dict[str, TensorRecord] = {}
    names: dict[str, str] = {}
    for place, full_name, name in found:
        spec = bundle.spec(name)
        if spec is not None:
            scope, _, leaf = full_name.rpartition("/")
            key = full_name if unique else place
            role: Role = "seed" if leaf.endswith("seed_generator_state") else "weight"
            layer, extent = scope if unique else "", bundle.extent(name)
            records[key] = TensorRecord(key, spec, full_name, leaf, layer, role, extent=extent)
            names[key] = name
    known = set(names.values())
    for name in bundle.entries:
        spec = bundle.spec(name)
        if spec is not None and name not in known:
            records[name] = TensorRecord(name, spec, name, role="state", extent=bundle.extent(name))
            names[name] = name
    scopes = dict.fromkeys(record.layer for record in records.values() if record.layer)
    layers = {scope: LayerRecord(scope, scope.rpartition("/")[2]) for scope in scopes}
    return ObjectTable(Table(records, layers, "order"), names)
