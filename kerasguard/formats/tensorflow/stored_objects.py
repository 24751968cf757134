"""The object graph that lies in a bundle, among its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats.tensorflow.object_graph import Node, parse
from kerasguard.formats.tensorflow.protobuf_wire import WireError
from kerasguard.formats.tensorflow.tensor_bundle import Bundle

__all__ = ["damaged_graph", "object_graph"]

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def object_graph(bundle: Bundle) -> Sequence[Node]:
    """The object graph stored with the tensors; empty where only names were stored."""
    if _GRAPH not in bundle.entries:
        return ()
    try:
        return parse(b"".join(bundle.strings(_GRAPH)))
    except WireError as error:
        raise damaged_graph(bundle.prefix, error) from error


def damaged_graph(path: Path, error: WireError) -> CorruptCheckpointError:
    """The error for an object graph that cannot be read."""
    return CorruptCheckpointError(
        path, f"its object graph cannot be read: {error}; it is damaged: copy it again"
    )
