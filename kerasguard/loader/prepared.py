"""A model that is ready to be restored into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasguard.planning.findings import Finding

__all__ = ["Prepared"]


@dataclass(frozen=True)
class Prepared:
    """A model to restore into, and what building it found.

    Args:
        target: a sink: table, places, `assign`.
        findings: of building it.
        built: what was built from the checkpoint's architecture; None for any other model.
        as_stored: whether the target takes every tensor as it is stored, under its own key.
        migrated: whether the stored architecture was changed before the model was built from it.
        spelt_out: whether the model was built from the configs of its layers.
        custom_objects: classes and functions that the stored configs name.
        unbuilt: names of the model's layers that nothing built yet.
        guessed: whether the model's layers were built by a guess at its input's shape, and have
            other weights than the stored ones.
        taken: stored keys whose tensors are part of the architecture today.
    """

    target: Any
    findings: tuple[Finding, ...]
    built: Any = None
    as_stored: bool = False
    migrated: bool = False
    spelt_out: bool = False
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    unbuilt: tuple[str, ...] = ()
    guessed: bool = False
    taken: frozenset[str] = frozenset()

    def finish(self, values: Mapping[str, Any]) -> None:
        """Give their initial values to variables that no step filled."""
        if self.built is not None:
            self.built.skipped.fill(except_variables=self.target.filled_by(values))

    @property
    def initialised(self) -> list[Any]:
        """The model's variables that got what their initialisers make, since no step fills them."""
        return [] if self.built is None else self.built.initialised
