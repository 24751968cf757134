"""Tensors that are made one at a time, when they are asked for, and held by nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from kerasguard.planning.operations import Step, spec_of
from kerasguard.tensors import TensorRecord, TensorSpec
from kerasguard.tensors.elements import Array

__all__ = ["Deferred", "specs_of"]


class Deferred(Mapping[str, Array]):
    """What steps make, by target; each is read and made anew whenever it is asked for.

    Args:
        steps: how each is made.
        stored: records of the tensors that they are made from.
        read: reads one of those by its key, and raises where it is not what was digested before.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        stored: Mapping[str, TensorRecord],
        read: Callable[[str], Array],
    ) -> None:
        self._steps = {step.target: step for step in steps}
        self._stored, self._read = stored, read

    def __getitem__(self, target: str) -> Array:
        step = self._steps[target]
        return step.apply([self._read(key) for key in step.sources])

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def spec(self, target: str) -> TensorSpec:
        """Of what `self[target]` makes, without reading anything."""
        step = self._steps[target]
        return step.infer([self._stored[key].spec for key in step.sources])


def specs_of(values: Mapping[str, Array]) -> dict[str, TensorSpec]:
    """Spec of every tensor by key; those that are deferred stay so."""
    if isinstance(values, Deferred):
        return {key: values.spec(key) for key in values}
    return {key: spec_of(array) for key, array in values.items()}
