"""The answer to which stored layer is which expected layer, and what stays in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kerasguard.identity.units import Unit

__all__ = ["Doubt", "Evidence", "Pairing"]

Evidence = Literal["renames", "address", "name", "graph", "shape"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """An expected layer for which several stored layers remain, or evidence that disagrees.

    Args:
        candidates: keys of the stored layers, the likeliest first.
        reason: why it was not decided.
    """

    candidates: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Pairing:
    """The result: layers, tensors, and what could not be decided.

    Args:
        layers: stored layer by expected layer.
        evidence: what decided it, by expected layer.
        tensors: stored key by expected key; only weights, no optimizer state.
        doubts: by expected layer.
        expected: units of the model, by key.
        stored: units of the checkpoint, by key.
    """

    layers: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    expected: Mapping[str, Unit] = field(default_factory=dict)
    stored: Mapping[str, Unit] = field(default_factory=dict)

    @property
    def addressed(self) -> bool:
        """Whether the format's own addressing was the whole answer."""
        return not self.doubts and all(e == "address" for e in self.evidence.values())
