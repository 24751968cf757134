"""Layers as the object graph tells of them: which object they are, and what they are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kerasguard.formats.tensorflow.object_graph import Node
from kerasguard.tensors import LayerRecord

__all__ = ["CONTAINERS", "ELEMENT", "INDEX", "Layers", "Told"]

# How Keras 1.x in TensorFlow 1 and Keras 2 number the layers of a Sequential or functional model,
ELEMENT = re.compile(r"layer(?:_with_weights)?-([0-9]{1,9})")
# and where Keras 3 keeps them.
CONTAINERS = ("_operations", "_functional")
# An edge to an item of a list.
INDEX = re.compile(r"[0-9]{1,9}")


class Told(NamedTuple):
    """What a stored config tells of an object."""

    class_name: str
    name: str

    @staticmethod
    def of(config: Mapping[str, object]) -> Told:
        """From a stored config; `zoo>Scale` is the class `Scale` as its package registered it."""
        inner = config.get("config")
        name = config.get("name") or (inner.get("name") if isinstance(inner, Mapping) else "")
        return Told(str(config.get("class_name") or "").rpartition(">")[2], str(name or ""))


class Layers:
    """Collects layers while their tensors are described.

    Args:
        nodes: the object graph.
        told: class and name of the objects whose config is stored, by node.
    """

    def __init__(self, nodes: Sequence[Node], told: Mapping[int, Told]) -> None:
        self._nodes, self._told = nodes, told
        self._children: dict[int, dict[str, int]] = {}
        self._ranks: dict[int, dict[int, int]] = {}
        self._places: dict[str, int] = {}
        self._positions: dict[str, int] = {}
        self._names: dict[str, Counter[str]] = {}
        self._sharing: dict[tuple[str, str], set[str]] = {}
        self._scopes: dict[str, dict[str, tuple[str, ...]]] = {}

    def add(self, root: int, parts: tuple[str, ...], full_name: str) -> str:
        """Note the layers on the way from `root` to a variable; the key of the one it belongs to.

        Args:
            root: the node where the path starts.
            parts: the path's edges, the variable's included.
            full_name: the variable's name in TensorFlow, `dense/kernel`.

        Returns:
            The innermost layer of a Sequential or functional model on the way: what is inside such
            a layer, a cell or a wrapped layer, stays with it. Without one, the object that owns
            the variable.
        """
        owner = parts[:-2] if len(parts) > 1 and INDEX.fullmatch(parts[-1]) else parts[:-1]
        node = root
        unit = 0
        for depth, edge in enumerate(owner, 1):
            parent, node = node, self._child(node, edge)
            key = "/".join(owner[:depth])
            if key not in self._places:
                self._places[key] = node
                self._positions[key] = self._position(parent, edge)
            if _is_element(owner, depth - 1):
                unit = depth
        scope = full_name.split("/")[:-1]
        own = scope[: len(scope) - len(owner) + unit] if unit else []
        if own:
            around = self._scopes.setdefault("/".join(owner[: unit - 1]), {})
            around.setdefault("/".join(owner[:unit]), tuple(own))
        for key, name in _named(owner, unit, scope):
            self._names.setdefault(key, Counter())[name] += 1
        if owner and not unit:
            place = "/".join(owner[:-1]), "/".join(scope)
            self._sharing.setdefault(place, set()).add("/".join(owner))
        return "/".join(owner[:unit] if unit else owner)

    @property
    def nodes(self) -> dict[str, int]:
        """The object behind every layer met so far."""
        return dict(self._places)

    def records(self) -> dict[str, LayerRecord]:
        """All layers met so far, those around others first, without Keras' own containers."""
        slashed = {k: n for layers in self._scopes.values() for k, n in _slashed(layers)}
        shared = {key for keys in self._sharing.values() if len(keys) > 1 for key in keys}
        result = {}
        for key, node in self._places.items():
            if key.rsplit("/", 1)[-1] in CONTAINERS:
                continue
            names = self._names.get(key)
            guess = names.most_common(1)[0][0] if names and key not in shared else ""
            guess = slashed.get(key, guess)
            told = self._told.get(node, Told("", guess))
            result[key] = LayerRecord(
                key, told.name or guess, told.class_name, position=self._positions[key]
            )
        return result

    def _child(self, node: int, edge: str) -> int:
        children = self._children.get(node)
        if children is None:
            children = self._children[node] = dict(reversed(self._nodes[node].children))
        return children[edge]

    def _position(self, parent: int, edge: str) -> int:
        """Rank in graph order, layers without weights counted where the graph tells of them."""
        element = ELEMENT.fullmatch(edge)
        if INDEX.fullmatch(edge):
            return int(edge)
        if element is None:
            return -1
        ranks = self._ranks.get(parent)
        if ranks is None:
            ranks = self._ranks[parent] = {
                child: int(match[1])
                for other, child in reversed(self._nodes[parent].children)
                if other.startswith("layer-") and (match := ELEMENT.fullmatch(other))
            }
        return ranks.get(self._child(parent, edge), int(element[1]))


def _slashed(layers: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """Names of a model's layers whose scopes are several, as Keras 3 spells them.

    Keras 2 allowed `block/depthwise`. A scope that all layers have in common is the model's.
    """
    first = {scopes[0] for scopes in layers.values()}
    shared = len(first) == 1
    for key, scopes in layers.items():
        if len(scopes) > 1 and not shared:
            yield key, "_".join(scopes)


def _is_element(parts: Sequence[str], at: int) -> bool:
    """Whether the edge leads to a layer of a Sequential or functional model."""
    numbered = at > 0 and parts[at - 1] == "_operations" and INDEX.fullmatch(parts[at])
    return bool(numbered or ELEMENT.fullmatch(parts[at]))


def _named(owner: tuple[str, ...], unit: int, scope: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names that a variable's scopes give to the objects around it, aligned at the innermost.

    TensorFlow 1 named a cell's variables after the layer around it (`lstm/kernel`), so scopes may
    be fewer than objects; then only the layer itself gets a name.
    """
    if not owner or not scope:
        return
    if not unit:
        yield "/".join(owner), scope[-1]
        return
    inside = len(owner) - unit
    if len(scope) <= inside:
        yield "/".join(owner[:unit]), scope[0]
        return
    for depth, name in enumerate(scope[len(scope) - inside - 1 :], unit):
        yield "/".join(owner[:depth]), name
