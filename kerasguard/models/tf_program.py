"""The stored program of a SavedModel: what of it may be run, and is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from kerasguard.errors import ArchitectureError

__all__ = ["endpoint_of", "leave_out_optimizers"]


def leave_out_optimizers(program: Path) -> bool:
    """Rewrite a private copy of a program so that its optimizers' slots are not asked for.

    TensorFlow asks the optimizer's own class for its slots, which is Keras 2's and not there. To
    predict takes no optimizer. Its variables stay where a function that reads them finds them,
    without values, so that it can be refused (averages of the weights are slots, too).

    Returns:
        Whether there were any.
    """
    stored, changed = SavedModel.FromString(program.read_bytes()), False
    for graph in stored.meta_graphs:
        nodes = graph.object_graph_def.nodes
        with_slots = {index for index, node in enumerate(nodes) if node.slot_variables}
        changed |= bool(with_slots)
        left_out = [
            node_id
            for index in sorted(with_slots)
            for node_id in (
                *(edge.node_id for edge in nodes[index].children),
                *(slot.slot_variable_node_id for slot in nodes[index].slot_variables),
            )
        ]
        for node in nodes:
            del node.slot_variables[:]
            kept = [edge for edge in node.children if edge.node_id not in with_slots]
            if len(kept) < len(node.children):
                del node.children[:]
                node.children.extend(kept)
        for rank, node_id in enumerate(left_out):
            nodes[0].children.add(node_id=node_id, local_name=f"left_out_{rank}")
    if changed:
        program.write_bytes(stored.SerializeToString())
    return changed


def endpoint_of(program: Any, path: Path) -> tuple[Callable[[Any], Any], Any]:
    """The function that predicts, and the structure of what it takes.

    First what Keras exports for the purpose (`serve`), then how the saved object itself is called
    (Keras 2, `tf.Module`), then its signatures, which only know names.
    """
    for attribute in ("serve", "__call__"):
        function = getattr(program, attribute, None)
        for concrete in getattr(function, "concrete_functions", ()):
            arguments, keywords = concrete.structured_input_signature
            if _predicts(arguments, keywords):
                check_initialised(concrete, path)
                rest = arguments[1:]
                return (lambda x, f=function, r=rest, k=keywords: f(x, *r, **k)), arguments[0]
    signatures = dict(program.signatures)
    chosen = signatures.get("serving_default", *list(signatures.values())[:1])
    if chosen is None or (len(signatures) > 1 and "serving_default" not in signatures):
        known = ", ".join(sorted(signatures)) or "none"
        raise ArchitectureError(
            f"{path}: the graph has no function to predict with: no `serve`, no `__call__` of one "
            f"argument and no signature `serving_default` (signatures: {known}); load it with "
            "tf.saved_model.load"
        )
    check_initialised(chosen, path)
    keywords = chosen.structured_input_signature[1]
    return (lambda x: chosen(**x)), keywords


def check_initialised(function: Any, path: Path) -> None:
    """Refuse a function that reads variables which were not restored.

    Raises:
        ArchitectureError: with their names.
    """
    missing = sorted(v.name for v in function.variables if not v.is_initialized())
    if missing:
        raise ArchitectureError(
            f"{path}: to predict, the graph reads {', '.join(missing)}, which TensorFlow "
            f"{tf.__version__} cannot restore: state of an optimizer of an older Keras; load it "
            "with the TensorFlow that saved it"
        )


def _predicts(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> bool:
    """Whether a function takes tensors in its first argument only, and does not train."""
    if not arguments:
        return False
    others = tf.nest.flatten([arguments[1:], dict(keywords)])
    return _are_specs(tf.nest.flatten(arguments[0])) and not any(
        isinstance(other, tf.TypeSpec) or other is True for other in others
    )


def _are_specs(items: Iterable[Any]) -> bool:
    found = list(items)
    return bool(found) and all(isinstance(item, tf.TensorSpec) for item in found)
