"""The object graph that an object-based TensorFlow checkpoint stores beside its tensors.

Nodes are the objects that were reachable from the saved root (layers, variables, lists), edges
the attributes that lead to them. An optimizer names its slot variables by the variable that
each belongs to.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from kerasguard.formats.tensorflow.protobuf_wire import WireError, as_bytes, as_number, fields

__all__ = ["Attribute", "Node", "Rank", "Reached", "Slot", "is_optimizer", "parse", "path", "reach"]

VALUE = "VARIABLE_VALUE"
_DEEPEST = 500

# Edges that Keras and SavedModel keep for themselves; the same objects have better paths.
_BOOKKEEPING = re.compile(
    r"keras_api|signatures|(non_)?trainable_variables|variables|(layer_)?regularization_losses"
    r"|(layer_)?metrics|_tracked|_metrics|_compile_metrics|_loss_tracker|compiled_metrics"
    r"|_compile_loss|_compiled_trainable_state|\w+_function|call_signature_parameters"
    r"|_(in|out)bound_nodes|_trainable_variables|_non_trainable_variables|_misc_assets|_endpoint\w*"
)
# Edges from an optimizer to another, wrapped one.
_WRAPPED = frozenset(("base_optimizer", "inner_optimizer", "loss_scale"))


@dataclass(frozen=True, slots=True)
class Attribute:
    """What is stored of an object: `VARIABLE_VALUE`, `OBJECT_CONFIG_JSON`, ..."""

    name: str
    full_name: str
    key: str


@dataclass(frozen=True, slots=True)
class Slot:
    """An optimizer's slot: the node of the weight, the slot's name, the node of its value."""

    weight: int
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Node:
    """One object."""

    children: tuple[tuple[str, int], ...] = ()
    attributes: tuple[Attribute, ...] = ()
    slots: tuple[Slot, ...] = ()

    @property
    def value(self) -> Attribute | None:
        """The attribute that holds the tensor, if the object is a variable."""
        return next((a for a in self.attributes if a.name == VALUE), None)


class Rank(IntEnum):
    """How an object is reached: as part of the model, only by bookkeeping, or by an optimizer."""

    MODEL = 0
    BOOKKEEPING = 1
    OPTIMIZER = 2


@dataclass(frozen=True, slots=True)
class Reached:
    """A node on its best path: `parent` (a node, -1 for the start), the last edge, its rank."""

    parent: int
    edge: str
    rank: Rank
    depth: int


def parse(data: bytes) -> list[Node]:
    """The nodes of a serialised `TrackableObjectGraph`.

    Raises:
        WireError: it is none, or an edge leads nowhere.
    """
    nodes = [_node(as_bytes(value)) for number, value in fields(data) if number == 1]
    for node in nodes:
        targets = [child for _, child in node.children]
        targets += [n for slot in node.slots for n in (slot.weight, slot.value)]
        if any(not 0 <= target < len(nodes) for target in targets):
            raise WireError(f"an edge points to none of its {len(nodes)} objects")
    return nodes


def reach(nodes: Sequence[Node], start: int) -> dict[int, Reached]:
    """The best path to every node below `start`: lowest rank first, then fewest edges, then order.

    Among paths of one rank it is the path that TensorFlow takes for the checkpoint's keys.

    Raises:
        WireError: objects are nested deeper than any model.
    """
    found: dict[int, Reached] = {}
    queues = {rank: deque[tuple[int, Reached]]() for rank in Rank}
    queues[Rank.MODEL].append((start, Reached(-1, "", Rank.MODEL, 0)))
    while queue := next((q for q in queues.values() if q), None):
        index, here = queue.popleft()
        if index in found:
            continue
        if here.depth > _DEEPEST:
            raise WireError(f"objects are nested more than {_DEEPEST} deep")
        found[index] = here
        for edge, child in nodes[index].children:
            if child not in found:
                rank = max(here.rank, _rank(edge, nodes[child]))
                queues[rank].append((child, Reached(index, edge, rank, here.depth + 1)))
    return found


def path(reached: Mapping[int, Reached], index: int) -> tuple[str, ...]:
    """The edges from the start to a node."""
    parts = []
    while (here := reached[index]).parent >= 0:
        parts.append(here.edge)
        index = here.parent
    return tuple(reversed(parts))


def is_optimizer(node: Node) -> bool:
    """Whether the object looks like an optimizer of any Keras, or like one that wraps another."""
    names = {name for name, _ in node.children}
    return bool(
        node.slots
        or names & _WRAPPED
        or "_iterations" in names
        or ("iter" in names and len(names) > 1)
        or {"beta1_power", "beta2_power"} & names
    )


def _rank(edge: str, child: Node) -> Rank:
    if is_optimizer(child) or edge == "optimizer":
        return Rank.OPTIMIZER
    return Rank.BOOKKEEPING if _BOOKKEEPING.fullmatch(edge) else Rank.MODEL


def _node(data: bytes) -> Node:
    children: list[tuple[str, int]] = []
    attributes: list[Attribute] = []
    slots: list[Slot] = []
    for number, value in fields(data):
        if number == 1:
            target, name = _pair(as_bytes(value), 1, 2)
            children.append((name, target))
        elif number == 2:
            texts = {n: _text(v) for n, v in _told(value) if n in (1, 2, 3)}
            attributes.append(Attribute(texts.get(1, ""), texts.get(2, ""), texts.get(3, "")))
        elif number == 3:
            told = dict(_told(value))
            slots.append(
                Slot(as_number(told.get(1, 0)), _text(told.get(2, b"")), as_number(told.get(3, 0)))
            )
    return Node(tuple(children), tuple(attributes), tuple(slots))


def _pair(data: bytes, number: int, text: int) -> tuple[int, str]:
    target, name = 0, ""
    for n, value in fields(data):
        if n == number:
            target = as_number(value)
        elif n == text:
            name = _text(value)
    return target, name


def _told(value: int | bytes) -> Iterator[tuple[int, int | bytes]]:
    return fields(as_bytes(value))


def _text(value: int | bytes) -> str:
    try:
        return as_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise WireError("a name is not UTF-8") from error
