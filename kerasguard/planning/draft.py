"""What a rule sees: the three tables and the steps drafted so far.

Rules run in order; each sees the tensors as repaired by the rules before it, because steps are
inferred on specs. No rule sees an array: what must be measured on values (digests, non-finite
counts, what a cast loses) reaches them as numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kerasguard.identity.optimizer_state import State
from kerasguard.identity.pairing import Pairing
from kerasguard.manifest import Manifest
from kerasguard.planning.operations import Step
from kerasguard.tensors import Table, TensorRecord, TensorSpec

if TYPE_CHECKING:
    from kerasguard.planning.cast_loss import Loss

__all__ = ["Draft"]


@dataclass(frozen=True)
class Draft:
    """The three tables, who is who in them, and the steps so far.

    Args:
        expected: the model.
        stored: the checkpoint, with digests where its bytes were read.
        manifest: what was recorded; None where nobody did.
        pairing: which stored layer is which expected layer.
        steps: by target.
        optimizers: which stored state goes to which of the model's optimizers, and why not.
        problems: damage to the container itself, a line each (a bad CRC, changed bytes).
        own: whether the model was built from the checkpoint's own architecture.
        unbuilt: names of the model's layers that nothing built yet.
        absent: vocabularies of the model that the checkpoint has no file for; of size 0 where
            the model's is empty.
        merged: weights of the model that the checkpoint has only as a part of another one of their
            layer: LoRA factors, and the kernel that Keras stores with their product added.
        aside: stored keys that belong to what the caller leaves out; nobody misses them.
        told: keys of tensors and layers that the format has said an error of.
        loss: measures what a lossy step does to the stored values; None in a plan without bytes.
    """

    expected: Table
    stored: Table
    manifest: Manifest | None
    pairing: Pairing
    steps: Mapping[str, Step]
    optimizers: State = field(default_factory=State)
    problems: tuple[str, ...] = ()
    own: bool = False
    unbuilt: tuple[str, ...] = ()
    absent: tuple[TensorRecord, ...] = ()
    merged: tuple[TensorRecord, ...] = ()
    aside: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    loss: Callable[[Step, str], Loss] | None = field(default=None, compare=False)

    def after(self, target: str) -> TensorSpec | None:
        """The spec that the target would get by its step so far; None without a step."""
        step = self.steps.get(target)
        if step is None:
            return None
        return step.infer([self.stored.tensors[s].spec for s in step.sources])

    def recorded(self, stored_key: str) -> TensorRecord | None:
        """What the manifest says of a stored tensor."""
        return self.manifest.recorded.get(stored_key) if self.manifest else None

    def used(self) -> set[str]:
        """Stored keys that some step reads, or that belong to what is left out."""
        read = {source for step in self.steps.values() for source in step.sources}
        return read | self.aside

    def with_steps(self, steps: Iterable[Step]) -> Draft:
        """The draft with `steps` in the place of their targets' steps."""
        return replace(self, steps={**self.steps, **{s.target: s for s in steps}})
