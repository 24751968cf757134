"""What a live model has and Keras' saving does not write: found, read, and put back.

Seeds of random layers, states of stateful RNNs, metrics, weights of layers that lie where Keras
does not look (a set, an attribute called `_layers`, an object of no Keras class), boundaries and
vocabularies that `adapt` made and that a file with weights only has no room for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from kerasguard.blueprint.architecture import unique_name
from kerasguard.models.hidden import BOUNDARIES, IDF_WEIGHTS, Hidden, adapted
from kerasguard.models.holders import named_layers
from kerasguard.models.kerases import is_a, is_foreign, is_layer, is_optimizer, is_variable, of
from kerasguard.models.live_model import Place, places, spec_of_value
from kerasguard.models.untracked import untracked
from kerasguard.models.walk import Visit, walk
from kerasguard.tensors import Role, TensorRecord, TensorSpec, snake_case

__all__ = ["hidden_state", "merged_parts", "metric_state", "unwritten"]


def unwritten(model: Any) -> tuple[TensorRecord, ...]:
    """Records of what Keras' own formats leave out of a model."""
    visits = list(walk(model))
    return tuple(item.record for item in hidden_state(model, visits, places(visits)))


def hidden_state(
    model: Any,
    visits: Sequence[Visit],
    found: Sequence[Place],
    *,
    written: Collection[str] | None = None,
    boundaries: bool = True,
    variables_only: bool = False,
) -> list[Hidden]:
    """Everything that a checkpoint of the model lacks.

    Args:
        model: a Keras model or layer.
        visits: of the walk over it.
        found: the tensors that the visited objects would store.
        written: keys that the checkpoint holds; by default all that `found` has.
        boundaries: whether the boundaries that `Discretization` was adapted to are missing too;
            a file with the model's config has them there.
        variables_only: whether the checkpoint holds what layers list, as legacy HDF5 files do, and
            no arrays that they make on the spot.
    """
    kept = [p for p in found if written is None or p.record.key in written]
    search = _Search({id(p.value) for p in kept}, {id(v.object) for v in visits})
    search.closed = {v.path for v in visits if not v.plain} | {
        p.visit.path for p in found if p.variable is None
    }
    if len(kept) < len(found):
        search.lost(found)
    for visit in visits:
        if is_optimizer(visit.object):
            search.optimizer(visit)
        if is_layer(visit.object):
            search.layer(visit.object, visit, ())
            search.outsiders(visit)
            if boundaries and _has_adapted_boundaries(visit.object):
                search.adapted(visit, BOUNDARIES, "float64")
            elif variables_only and search.is_weighed(visit.object):
                search.adapted(visit, IDF_WEIGHTS, "float32")
    search.metrics(model)
    for visit in visits:
        search.unlisted_metrics(visit)
    return search.found


def _has_adapted_boundaries(layer: Any) -> bool:
    """Whether its boundaries are found by `adapt`, which was told how many, or were given."""
    return is_a(layer, "Discretization") and getattr(layer, "num_bins", None) is not None


def merged_parts(hidden: Sequence[Hidden]) -> dict[str, list[TensorRecord]]:
    """By layer, what it stores as one: kept in parts, or not at all."""
    parts: dict[str, list[TensorRecord]] = {}
    for held in hidden:
        if held.merged:
            parts.setdefault(held.record.layer, []).append(held.record)
    return parts


def metric_state(model: Any) -> list[Hidden]:
    """The state of a model's metrics."""
    search = _Search(set(), set())
    search.metrics(model)
    return search.found


class _Search:
    """What was found so far, each variable once."""

    def __init__(self, reached: set[int], visited: set[int]) -> None:
        self.reached, self.visited = reached, visited
        self.closed: set[str] = set()
        self.keys: dict[str, int] = {}
        self.found: list[Hidden] = []

    def add(self, record: TensorRecord, holder: Any, layer: Any = None) -> None:
        """Under the record's key, or the next one that is free."""
        self.reached.add(id(holder))
        key = unique_name(record.key, self.keys)
        self.found.append(Hidden(replace(record, key=key), holder, layer))

    def lost(self, found: Sequence[Place]) -> None:
        """Weights and optimizers' state that today's files hold and this one does not."""
        for place in found:
            if place.variable is None or id(place.value) in self.reached:
                continue
            if place.record.role in ("weight", "optimizer"):
                self.add(place.record, place.variable)

    def layer(
        self, layer: Any, visit: Visit, chain: tuple[str, ...], role: Role = "weight"
    ) -> None:
        """State of a layer itself, and of the layers in it that Keras' saving passes by."""
        seeds, states = of(layer).own_state(layer)
        held = {id(s) for s in _states(layer)}
        if not chain and visit.path in self.closed:
            # It has a format of its own and decides what it stores of itself; Keras stores the sum
            # of a kernel and its LoRA factors, of which none can be had back.
            if getattr(layer, "lora_enabled", False):
                self.factors(states, visit)
            self.reached |= {id(state) for state in states}
            states = []
        roles: list[tuple[Any, Role]] = [
            (v, "state" if id(v) in held else role) for v in (*states, *_states(layer))
        ]
        roles += [(seed, "seed") for seed in seeds]
        for variable, what in roles:
            self.variable(variable, visit, chain, what, layer)
        inner = [one for one in of(layer).sublayers(layer) if id(one) not in self.visited]
        for name, one in named_layers(inner):
            self.visited.add(id(one))
            self.layer(one, visit, (*chain, name), role)

    def factors(self, states: Sequence[Any], visit: Visit) -> None:
        """What a layer with LoRA stores as one sum: its kernel and the factors."""
        before = len(self.found)
        for state in states:
            self.variable(state, visit, (), "state", visit.object)
        for place in range(before, len(self.found)):
            self.found[place] = replace(self.found[place], merged=True)

    def optimizer(self, visit: Visit) -> None:
        """Variables that an optimizer does not list, as Nadam's product inside a wrapper."""
        listed = {id(variable) for variable in visit.object.variables}
        for attribute, value in vars(visit.object).items():
            if is_variable(value, visit.object) and id(value) not in listed:
                leaf = attribute.strip("_")
                key = f"{visit.path}/unwritten/{leaf}"
                # tf_keras does not store the rate, Keras 3 does, as one of its variables.
                rate = leaf == "learning_rate"
                record = TensorRecord(
                    key, spec_of_value(value), name=f"{visit.path}/{leaf}" if rate else key,
                    variable=leaf, layer=visit.path, role="optimizer" if rate else "state",
                    trainable=False, slot=leaf if rate else "",
                )  # fmt: skip
                if id(value) not in self.reached:
                    self.add(record, value)

    def outsiders(self, visit: Visit) -> None:
        """Layers and variables in objects that are none of Keras'.

        Keras does not count them among the model's weights, so nobody misses them.
        """
        if not is_foreign(visit.object):
            return
        for names, item in untracked(visit.object, self.is_known):
            if not is_layer(item):
                self.variable(item, visit, names[:-1], "state", visit.object)
            elif id(item) not in self.visited:
                self.visited.add(id(item))
                self.layer(item, visit, names, "state")

    def is_known(self, identity: int) -> bool:
        """Whether the object with this id was found before."""
        return identity in self.visited or identity in self.reached

    def variable(
        self, variable: Any, visit: Visit, chain: tuple[str, ...], role: Role, layer: Any
    ) -> None:
        """One variable, unless it is known."""
        if id(variable) in self.reached:
            return
        leaf = str(variable.name).partition(":")[0].rpartition("/")[2]
        key = "/".join(filter(None, (visit.path, "unwritten", *chain, leaf)))
        record = TensorRecord(
            key,
            spec_of_value(variable),
            name="/".join((*visit.names, *chain, leaf)),
            variable=leaf,
            layer=visit.path,
            role=role,
            trainable=bool(variable.trainable),
        )
        self.add(record, variable, layer)

    def is_weighed(self, lookup: Any) -> bool:
        """Whether it weighs tokens by how rare they are, with weights that no layer lists."""
        if not hasattr(lookup, "lookup_table") or getattr(lookup, "output_mode", "") != "tf_idf":
            return False
        return id(getattr(lookup, IDF_WEIGHTS, None)) not in self.reached

    def adapted(self, visit: Visit, name: str, dtype: str) -> None:
        """What `adapt` made of a layer and keeps in an attribute, which is no variable."""
        found = adapted(visit.object, name)
        record = TensorRecord(
            f"{visit.path}/unwritten/{name}".lstrip("/"),
            TensorSpec((0,) if found is None else found.shape, dtype),
            name="/".join((*visit.names, name)),
            variable=name,
            layer=visit.path,
            role="state",
        )
        self.add(record, visit.object, visit.object)

    def metrics(self, model: Any) -> None:
        """By class and name, since their order says nothing."""
        for metric in _flat_metrics(model):
            for variable in metric.variables:
                if id(variable) in self.reached:
                    continue
                leaf = str(variable.name)
                name = f"metrics/{snake_case(type(metric).__name__)}/{metric.name}/{leaf}"
                record = TensorRecord(
                    name, spec_of_value(variable), name=name, variable=leaf, role="metric",
                    trainable=False,
                )  # fmt: skip
                self.add(record, variable)

    def unlisted_metrics(self, visit: Visit) -> None:
        """Metrics of a layer that no model lists: `fit` resets none of them, so they are state."""
        for metric in getattr(visit.object, "_metrics", None) or ():
            for variable in metric.variables:
                self.variable(variable, visit, ("metrics", metric.name), "state", visit.object)


def _flat_metrics(model: Any) -> Iterator[Any]:
    """All metrics of a compiled model, those in containers by themselves."""
    for metric in getattr(model, "metrics", ()):
        inner = getattr(metric, "metrics", None)
        if inner is None:
            yield metric
        elif getattr(metric, "built", True):
            yield from (one for one in inner if one is not None)


def _states(layer: Any) -> list[Any]:
    """The states that a stateful RNN keeps between batches."""
    if not is_a(layer, "RNN") or not layer.stateful:
        return []
    return [s for s in of(layer).flatten(layer.states) if is_variable(s, layer)]
