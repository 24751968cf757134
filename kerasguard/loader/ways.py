"""Which way the keys of a checkpoint lead to the variables of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.layouts import restore_state_dict, uncounted
from kerasguard.loader.addressing import Addressing, ByObjects, ByOrder, ByWalk, Given
from kerasguard.loader.ported import in_model_axes, unlike_modules
from kerasguard.loader.prepared import Prepared
from kerasguard.loader.reading import Reading
from kerasguard.planning.findings import Finding
from kerasguard.planning.left_out import LeftOut
from kerasguard.planning.operations import Op, Step
from kerasguard.tensors import Table

__all__ = ["addressing"]


class ByList(Addressing):
    """Places in the list of a model's weights, as `get_weights` gives them."""

    def steps(self, stored: Table, expected: Table) -> Given:
        """Each to the variable at its place, as `set_weights` would; names decide by renames."""
        if self.renames:
            return None
        keys = {id(place.variable): key for key, place in self._target.places.items()}
        wanted = [keys.get(id(v), "") for v in self._target.model.weights]
        if len(wanted) != len(stored.tensors):
            return []  # another model's list: what is missing and what is not expected is told
        pairs = zip(wanted, stored.tensors, strict=True)
        return [Step(key, (source,)) for key, source in pairs if key in expected.tensors]


class AsStored(Addressing):
    """A program, which takes every tensor under its own key."""

    def steps(self, stored: Table, expected: Table) -> Given:
        """Each tensor to itself."""
        return [Step(key, (key,)) for key in self.reading.table.tensors]


class ByModules(Addressing):
    """Names of a PyTorch state dict."""

    def dense(self, stored: Table, expected: Table) -> tuple[Table, dict[str, tuple[Op, ...]]]:
        """Without what a BatchNorm counts."""
        return uncounted(stored)[0], {}

    def steps(self, stored: Table, expected: Table) -> Given:
        """By the class of the layer that each module's arrays go to."""
        given = restore_state_dict(stored, expected, self.renames)
        return in_model_axes(given, expected, self._target)

    def doubts(self, expected: Table, given: Given, out: LeftOut) -> Iterator[Finding]:
        """What arrays do not say of the modules that they belonged to."""
        yield from unlike_modules(self._target, uncounted(self.reading.table)[1])


_WAYS: Mapping[str, type[Addressing]] = {
    "walk": ByWalk,
    "order": ByOrder,
    "objects": ByObjects,
    "variables": Addressing,
    "listed": ByList,
    "modules": ByModules,
    "paths": Addressing,
}


def addressing(prepared: Prepared, reading: Reading, renames: Mapping[str, str]) -> Addressing:
    """The way in which the checkpoint's keys lead to the model's variables."""
    way = AsStored if prepared.as_stored else _WAYS[reading.checkpoint.traits.keys]
    return way(prepared, reading, renames)
