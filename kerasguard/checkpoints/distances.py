"""How far the weights of one layer are from those of its counterpart in another checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kerasguard.checkpoints.difference import Pair
from kerasguard.tensors import TensorRecord
from kerasguard.tensors.elements import Array

__all__ = ["LayerDistance", "distances", "layer_of"]

Reader = Callable[[TensorRecord], Array]
_FLOATS = ("float", "complex")


@dataclass(frozen=True, slots=True)
class LayerDistance:
    """How far one layer is from itself in another checkpoint.

    Args:
        layer: its path in the first, `encoder/hidden`.
        tensors: how many of its tensors both have in the same shape.
        changed: how many of these have other bytes.
        norm: of all their elements in the first, as one vector; None where one is not finite.
        other: likewise in the second.
        distance: norm of the difference as a part of `norm`; None where `norm` is 0 or unknown.
    """

    layer: str
    tensors: int
    changed: int
    norm: float | None
    other: float | None
    distance: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def layer_of(record: TensorRecord) -> str:
    """The path of the layer that a tensor belongs to, as a person knows it."""
    return record.label.rpartition("/")[0] or record.label


def distances(
    pairs: Iterable[Pair], left: Reader, right: Reader, *, all_layers: bool = False
) -> list[LayerDistance]:
    """Distance of each layer, in the order of the first checkpoint; reads a tensor at a time.

    Args:
        pairs: tensors and their counterparts, with digests if unchanged layers are to be known.
        left: gives a tensor of the first checkpoint.
        right: gives a tensor of the second.
        all_layers: also those in which nothing changed; they are read only where digests are
            missing.
    """
    groups: dict[str, list[Pair]] = {}
    for one, other in pairs:
        if one.role == "weight" and one.spec == other.spec and _measurable(one):
            groups.setdefault(layer_of(one), []).append((one, other))
    found = []
    for layer, group in groups.items():
        if all_layers or any(one.digest != other.digest for one, other in group):
            found.append(_distance(layer, group, left, right))
    return found


def _measurable(record: TensorRecord) -> bool:
    return any(kind in record.spec.dtype for kind in _FLOATS)


def _distance(layer: str, group: list[Pair], left: Reader, right: Reader) -> LayerDistance:
    squares, changed = np.zeros(3), 0
    for one, other in group:
        before = _exact(left(one))
        if one.digest is not None and one.digest == other.digest:
            size = _square(before)
            squares += (size, size, 0.0)
            continue
        after = _exact(right(other))
        with np.errstate(invalid="ignore", over="ignore"):
            apart = _square(after - before)
        squares += (_square(before), _square(after), apart)
        changed += apart != 0  # which is true of NaN
    norm, theirs, moved = (float(n) if np.isfinite(n) else None for n in np.sqrt(squares))
    distance = 0.0 if not changed else moved / norm if norm and moved is not None else None
    return LayerDistance(layer, len(group), changed, norm, theirs, distance)


def _exact(array: Array) -> Any:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _square(values: Any) -> float:
    """Sum of the squares of the elements."""
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.vdot(values, values).real)
