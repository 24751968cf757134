"""What a SavedModel tells of Keras' objects: `saved_model.pb` and `keras_metadata.pb`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kerasguard.formats.tensorflow.object_graph import Node, parse
from kerasguard.formats.tensorflow.protobuf_wire import WireError, as_bytes, fields
from kerasguard.storage.strict_json import strict_json

__all__ = ["Metadata", "Program", "plain", "read_metadata", "read_program"]

# Marks of the JSON that Keras wrote into SavedModels; what they mark is a list elsewhere.
_LISTS = frozenset(("__tuple__", "TensorShape"))


@dataclass(frozen=True, slots=True)
class Metadata:
    """What Keras stored of one object.

    Args:
        identifier: the kind of object, `_tf_keras_layer`.
        config: its metadata: `class_name`, `config` and more.
    """

    identifier: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Program:
    """The parts of `saved_model.pb` beside the graph.

    Args:
        version: of TensorFlow.
        nodes: the saved objects; node 0 is the saved one.
        metadata: by node; only TensorFlow before 2.5 stored it here.
    """

    version: str = ""
    nodes: Sequence[Node] = ()
    metadata: Mapping[int, Metadata] = field(default_factory=dict)

    def matched(self, nodes: Sequence[Node]) -> dict[int, int]:
        """The node in another graph of the same objects, by the same edges from the root."""
        same = {0: 0} if self.nodes and nodes else {}
        todo = [0] if same else []
        while todo:
            mine = todo.pop()
            children = dict(nodes[same[mine]].children)
            for edge, child in self.nodes[mine].children:
                if edge in children and child not in same:
                    same[child] = children[edge]
                    todo.append(child)
        return same


def read_program(data: bytes) -> Program:
    """Parse `saved_model.pb`: the first of its meta graphs.

    Raises:
        WireError: it is no such message.
        ValueError: metadata is not JSON.
    """
    graphs = [as_bytes(value) for number, value in fields(data) if number == 2]
    if not graphs:
        raise WireError("it holds no graph")
    told = dict(fields(graphs[0]))
    about = dict(fields(as_bytes(told.get(1, b""))))
    objects = as_bytes(told.get(7, b""))
    metadata = {}
    users = [
        dict(fields(as_bytes(value))).get(4) for number, value in fields(objects) if number == 1
    ]
    for index, user in enumerate(users):
        if user is not None:
            parts = dict(fields(as_bytes(user)))
            if 3 in parts:
                metadata[index] = _metadata(parts.get(1, b""), parts[3])
    version = as_bytes(about.get(5, b"")).decode()
    return Program(version, parse(objects), {n: m for n, m in metadata.items() if m is not None})


def read_metadata(data: bytes) -> dict[int, Metadata]:
    """Parse `keras_metadata.pb`: metadata by the node in `saved_model.pb`; raises likewise."""
    found = {}
    for number, value in fields(data):
        if number == 1:
            parts = dict(fields(as_bytes(value)))
            metadata = _metadata(parts.get(4, b""), parts.get(5, b""))
            node = parts.get(2, 0)
            if metadata is not None and isinstance(node, int):
                found[node] = metadata
    return found


def plain(value: Any) -> Any:
    """JSON without the marks of tuples and shapes."""
    if isinstance(value, dict):
        if value.get("class_name") in _LISTS and isinstance(value.get("items"), list):
            return [plain(item) for item in value["items"]]
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _metadata(identifier: int | bytes, text: int | bytes) -> Metadata | None:
    """None for objects of which nothing but their kind is stored."""
    config = strict_json(as_bytes(text), constants=True) if text else None
    if not isinstance(config, dict):
        return None
    return Metadata(as_bytes(identifier).decode(), config)
