"""Graphs of thousands of layers in a row, put together without a call inside a call per layer.

Keras follows a functional model from its outputs to its inputs by recursion, so that Python's
limit ends it after some 900 layers. The same walk with a list of its own has no such limit.
"""

# ruff: noqa: SLF001  # what takes the place of Keras' own reads what that reads

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from kerasguard.models.patches import Patch, PatchSet

__all__ = ["without_recursion"]

_PARAMETERS = [
    *("inputs", "tensor", "finished_nodes", "nodes_in_progress"),
    *("nodes_in_decreasing_depth", "operation_indices"),
]


def without_recursion(active: Callable[[], bool]) -> list[PatchSet]:
    """Patches of the walk through a functional model's graph.

    Args:
        active: whether this thread wants them.
    """
    module = sys.modules.get("keras.src.ops.function")
    if module is None:
        return []
    replace = functools.partial(_walking, active)
    return [PatchSet([Patch(module, "_build_map_helper", replace, _is_known)])]


def _is_known(found: Any) -> bool:
    """Whether it is the recursive walk, and one that ends at the tensors declared as inputs."""
    code = getattr(found, "__code__", None)
    known = code is not None and "flat_inputs" in code.co_varnames
    return known and list(inspect.signature(found).parameters) == _PARAMETERS


def _walking(active: Callable[[], bool], original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def walk(inputs: Any, tensor: Any, *found: Any) -> None:
        if active():
            _Walk({id(end) for end in keras.tree.flatten(inputs)}, *found).from_tensor(tensor)
        else:
            original(inputs, tensor, *found)

    return walk


@dataclass(frozen=True)
class _Walk:
    """Depth first from outputs to inputs; an operation is numbered where it is first met."""

    ends: set[int]
    finished: set[Any]
    in_progress: set[Any]
    ordered: list[Any]
    indices: dict[Any, int]

    def from_tensor(self, tensor: Any) -> None:
        """Add all nodes that lead to `tensor`, each after those that it depends on."""
        path: list[tuple[Any, Iterator[Any]]] = []
        todo: Iterator[Any] = iter((tensor,))
        while True:
            node = next(filter(None, map(self._entered, todo)), None)
            if node is not None:
                path.append((node, todo))
                todo = iter(() if node.is_input else node.input_tensors)
            elif path:
                node, todo = path.pop()
                self.finished.add(node)
                self.in_progress.remove(node)
                self.ordered.append(node)
            else:
                return

    def _entered(self, tensor: Any) -> Any:
        """The tensor's node, from now on in progress; None where there is nothing to be done."""
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index] if operation else None
        if node is None or node in self.finished:
            return None
        if not node.is_input and id(tensor) in self.ends:
            self.finished.add(node)
            return None
        if node in self.in_progress:
            raise ValueError(f"Tensor {tensor} of operation {operation.name!r} is part of a cycle.")
        self.indices.setdefault(operation, len(self.indices))
        self.in_progress.add(node)
        return node
