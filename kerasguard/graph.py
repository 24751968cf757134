"""Where a layer stands in its model's graph, as digests that do not depend on names.

Two layers of two models that get equal digests have the same class and config, and the same
classes and configs before them (`upstream`) or after them (`downstream`), argument by argument.
That is evidence of identity that survives renaming, drifting auto-names and moved code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from kerasguard.tensors import LayerRecord

__all__ = ["Place", "places"]

_Call = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """Digests of all that feeds a layer (itself included) and of all that it feeds."""

    upstream: str
    downstream: str


def places(layers: Mapping[str, LayerRecord]) -> dict[str, Place]:
    """The place of every layer whose graph is known; layers of unknown graph are left out.

    Linear in the number of calls; iterative, so that a thousand layers in a row are no problem.
    """
    known = {key: layer for key, layer in layers.items() if layer.inbound is not None}
    sources = {
        (key, n): [(k, i, t) for k, i, t in call if k in known]
        for key, layer in known.items()
        for n, call in enumerate(layer.inbound or ())
    }
    for key, layer in known.items():
        if not layer.inbound:  # a layer that is never called still has a place: nowhere
            sources.setdefault((key, 0), [])
    consumers: dict[_Call, list[tuple[_Call, int, int]]] = {call: [] for call in sources}
    for call, inputs in sources.items():
        for argument, (k, i, t) in enumerate(inputs):
            if (k, i) in consumers:
                consumers[(k, i)].append((call, argument, t))
    order = _topological(sources, consumers)
    own = {key: f"{layer.class_name}\0{layer.config_digest}" for key, layer in known.items()}
    up: dict[_Call, str] = {}
    for call in order:
        fed = [f"{up.get((k, i), '')}:{t}" for k, i, t in sources[call]]
        up[call] = _digest(own[call[0]], *fed)
    down: dict[_Call, str] = {}
    for call in reversed(order):
        outputs = [f"{down.get(c, '')}:{a}:{t}" for c, a, t in consumers[call]]
        down[call] = _digest(own[call[0]], *sorted(outputs))
    calls: dict[str, list[_Call]] = {}
    for call in sources:
        calls.setdefault(call[0], []).append(call)
    return {
        key: Place(
            _digest(*(up.get(c, "") for c in calls[key])),
            _digest(*(down.get(c, "") for c in calls[key])),
        )
        for key in known
    }


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\1".join(parts).encode(), digest_size=12).hexdigest()


def _topological(
    sources: Mapping[_Call, list[tuple[str, int, int]]],
    consumers: Mapping[_Call, list[tuple[_Call, int, int]]],
) -> list[_Call]:
    """Calls with every call after its sources; calls on a cycle are left out."""
    waiting = {
        call: sum((k, i) in sources for k, i, _ in inputs) for call, inputs in sources.items()
    }
    ready = [call for call, count in waiting.items() if count == 0]
    order: list[_Call] = []
    while ready:
        call = ready.pop()
        order.append(call)
        for consumer, _, _ in consumers[call]:
            waiting[consumer] -= 1
            if waiting[consumer] == 0:
                ready.append(consumer)
    return order
