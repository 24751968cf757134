"""Which stored layers lie where the model has others: by what is before and behind them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from kerasguard.identity.pairing import Pairing
from kerasguard.tensors import Table

__all__ = ["beside_places", "rows"]


def rows(pairing: Pairing, stored: Table) -> Iterator[tuple[list[str], list[str]]]:
    """Layers of the model and of the checkpoint, each in its order.

    Where the checkpoint tells no order of layers, that of each class, which Keras numbers.
    """
    graph = any(layer.inbound is not None for layer in stored.layers.values())
    # A file of weights has its tensors by name, and its manifest has the layers as they are called.
    rank = {key: n for n, key in enumerate(stored.layers)} if graph else {}
    found = dict(sorted(pairing.stored.items(), key=lambda item: rank.get(item[0], -1)))
    if graph or stored.addressing == "order":
        yield list(pairing.expected), list(found)
        return
    for kind in {unit.kind for unit in pairing.stored.values()}:
        ours = [e for e, unit in pairing.expected.items() if unit.kind == kind]
        yield ours, [s for s, unit in found.items() if unit.kind == kind]


def beside_places(
    places: Sequence[int | None], left: Sequence[int], count: int, *, ends: bool
) -> Iterator[bool]:
    """For each stored layer, whether a layer that is left out is between those around it.

    Args:
        places: of the stored layers in the model, None for those that nobody wants.
        left: places of the layers that are left out, in ascending order.
        count: of places.
        ends: whether those before the first and behind the last one count, too.
    """
    before, after = _carried(places), _carried(places[::-1])[::-1]
    for first, last in zip(before, after, strict=True):
        at = bisect_right(left, -1 if first is None else first)
        inside = at < len(left) and left[at] < (count if last is None else last)
        yield inside or (ends and None in (first, last))


def _carried(places: Sequence[int | None]) -> list[int | None]:
    """By entry, the last place that was known before it."""
    found: list[int | None] = []
    last: int | None = None
    for place in places:
        found.append(last)
        last = last if place is None else place
    return found
