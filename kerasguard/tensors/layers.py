"""What is known of one layer: its name, class and config, its place in the graph, its use."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Ends", "LayerRecord", "Node", "Use", "auto_named", "snake_case"]

Node = tuple[tuple[str, int, int], ...]
Ends = tuple[Node, Node]
"""Inputs and outputs of a graph, in order, each as (layer key, call index, tensor index)."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a model's code does with a layer, beside what the layer's config tells.

    Args:
        arguments: a text per call: all that it was called with, tensors as `~`; an empty text for
            a call on one tensor, and none where all calls are such. None where the calls are
            unknown.
        graph: as `LayerRecord.inbound`, in a model whose config does not spell out its layers.
        policy: name of the dtype policy; empty where that does not matter.
        held: every place where a user-defined class holds it: attributes, list entries and
            dict keys, `layers/block.parts[0]`.
        settings: what a user-defined layer was given, by argument, as texts.
        built: whether it had its variables.
    """

    arguments: tuple[str, ...] | None = None
    graph: tuple[Node, ...] | None = None
    policy: str = ""
    held: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)
    built: bool = True


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """What is known of one layer, with or without weights.

    Args:
        key: its path in the checkpoint, `layers/dense`; nested models repeat the pattern.
        name: the name that the layer carries.
        class_name: `Dense`; empty where unknown. Only the class, no module.
        config_digest: of the config without names and without what cannot change
            predictions; empty where unknown.
        inbound: a tuple per call: the tensors it was called on, each as
            (layer key, call index, tensor index). None where the graph is unknown.
        position: rank among its siblings in graph order; -1 where unknown.
        attribute: under which attribute, or key of a dict, a user-defined class holds it,
            `layers/block.parts[query]`; empty where unknown.
        use: what the model's code does with it; None where nobody recorded that.
        trainable: False where its own switch is off; None where it is on, or unknown.
        extra: fields of a manifest that this version does not know; kept.
    """

    key: str
    name: str
    class_name: str = ""
    config_digest: str = ""
    inbound: tuple[Node, ...] | None = None
    position: int = -1
    attribute: str = ""
    use: Use | None = None
    trainable: bool | None = None
    extra: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def auto_named(self) -> bool:
        """Whether Keras made the name up, so that it is weak evidence."""
        return auto_named(self.name, snake_case(self.class_name))


@functools.lru_cache(4096)
def snake_case(class_name: str) -> str:
    """`Conv2DTranspose` -> `conv2d_transpose`, as Keras derives names from classes."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_named(name: str, kind: str) -> bool:
    """Whether Keras gives `name` by itself to a class that is `kind` in snake case (`dense_3`)."""
    if not kind or not name.startswith(kind):
        return False
    rest = name[len(kind) :]
    # Keras counts, and never to a number of more digits.
    return not rest or (rest[0] == "_" and rest[1:].isdecimal() and len(rest) <= 19)
