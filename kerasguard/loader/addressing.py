"""What the keys of a checkpoint mean for the model it goes into: one class per way of addressing.

`ways.addressing` chooses once, by what the format says of its keys (`Traits.keys`); everything that
depends on it is a method here, so that nobody behind asks which format was opened.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kerasguard.identity.reduced import reduced, without
from kerasguard.layouts import (
    as_dense,
    changed_defaults,
    in_model_order,
    likely_writer,
    restore_older_paths,
    restore_table,
    unsorted_dicts,
    without_statistics,
)
from kerasguard.loader.prepared import Prepared
from kerasguard.loader.reading import Reading
from kerasguard.loader.stored_configs import (
    channels_first,
    is_older,
    rebuilt_layers,
    stored_layer,
    unlike_saved,
)
from kerasguard.planning.findings import Finding
from kerasguard.planning.left_out import LeftOut
from kerasguard.planning.operations import Op, Step
from kerasguard.tensors import LayerRecord, Table

__all__ = ["Addressing", "ByObjects", "ByOrder", "ByWalk", "Given"]

Steps = Sequence[Step | Finding]
Given = Steps | None


@dataclass(frozen=True)
class Addressing:
    """Keys that are variables' paths, which say all that there is to know.

    Args:
        prepared: the model to restore into.
        reading: the checkpoint.
        renames: patterns of stored names to expected ones, as the caller says.
    """

    prepared: Prepared
    reading: Reading
    renames: Mapping[str, str]

    def dense(self, stored: Table, expected: Table) -> tuple[Table, dict[str, tuple[Op, ...]]]:
        """The stored table with layers as today's compute them, and what is done for it first."""
        if self.prepared.built is None:
            return stored, {}
        stored = without_statistics(stored, expected)
        return as_dense(stored, expected, self.reading.in_file(), self._writer)

    def layers(self, stored: Table) -> Mapping[str, LayerRecord]:
        """The stored layers with config digests that can be compared with the model's.

        The digest of a config that had to be migrated says nothing.
        """
        return _undigested(stored.layers) if self.prepared.migrated else stored.layers

    def steps(self, stored: Table, expected: Table) -> Given:
        """Steps of an old file, whose tensors' layout or place depends on who wrote it.

        Args:
            stored: without what the companion holds.
            expected: without what Keras does not write.
        """
        return None

    def doubts(self, expected: Table, given: Given, out: LeftOut) -> Iterator[Finding]:
        """What old files leave open of the caller's model, or say of it beside the tensors.

        Nothing is said of what is left out; `given` are the steps for the rest.
        """
        checkpoint = self.reading.checkpoint
        bare = not (checkpoint.traits.config or checkpoint.layer_configs())
        if self.prepared.built is None and bare:
            writer = likely_writer(self.reading.table, self._writer)
            if "keras" in writer:
                yield from changed_defaults(reduced(expected, out.keys), writer)

    @property
    def _writer(self) -> dict[str, str]:
        return self.reading.writer()

    @property
    def _target(self) -> Any:
        return self.prepared.target


class ByWalk(Addressing):
    """Keys by which Keras 3 walks a model; older versions walked otherwise."""

    def layers(self, stored: Table) -> Mapping[str, LayerRecord]:
        """A migrated model has the digests of its layers; so has one that is built to compare."""
        if self.prepared.migrated:
            return self._as_built(_undigested(stored.layers))
        if not is_older(self.reading):
            return stored.layers
        # Options that came since are in one config and not in the other.
        return self._as_today(stored) if self.prepared.built is None else _undigested(stored.layers)

    def steps(self, stored: Table, expected: Table) -> Given:
        """By the keys of the writer's walk, where they are others than today's."""
        if self.renames:  # names decide, as the caller says
            return None
        version = self._writer.get("keras", "")
        fits = _fits(stored, expected)
        if stored.addressing != "key" or (fits and not version.startswith("2.")):
            return None
        return _by_older_walk(self._target, stored, expected, version, fits=fits)

    def doubts(self, expected: Table, given: Given, out: LeftOut) -> Iterator[Finding]:
        """Dicts of layers, whose order another version wrote, too."""
        yield from super().doubts(expected, given, out)
        if not given:
            yield from unsorted_dicts(reduced(expected, out.keys), self.reading.table, self._writer)

    def _as_built(self, layers: dict[str, LayerRecord]) -> dict[str, LayerRecord]:
        """The layers with the classes that those of the same names were built as.

        Only where the names are those of the architecture that the model was built from.
        """
        if self.prepared.built is None:
            return layers
        ours = _by_name(self._target.table.layers.values())
        for name, layer in _by_name(layers.values()).items():
            if layer.class_name and name in ours and ours[name].class_name != layer.class_name:
                layers[layer.key] = replace(layer, class_name=ours[name].class_name)
        return layers

    def _as_today(self, stored: Table) -> Mapping[str, LayerRecord]:
        """The stored layers as this Keras makes them: options and classes may have other names."""
        from kerasguard.models import walk

        config, custom = self.reading.architecture(), self.prepared.custom_objects
        model = config and stored_layer(config, self.reading.config_writer(), custom)
        if not model:
            return _undigested(stored.layers)
        visits = list(walk.walk(model))
        made = rebuilt_layers(visits, self._target.visits, self.reading.config_writer())
        weighty = {r.layer for r in stored.tensors.values() if r.role == "weight"}
        same = weighty & stored.layers.keys() <= made.keys()
        return made if same else _undigested(stored.layers)


class ByOrder(Addressing):
    """Layers and their weights in the order in which Keras 1 and 2 listed them."""

    def dense(self, stored: Table, expected: Table) -> tuple[Table, dict[str, tuple[Op, ...]]]:
        """As it is: what old layers were is part of the layout."""
        return stored, {}

    def steps(self, stored: Table, expected: Table) -> Given:
        """By the layout of each layer's class at the writer's time."""
        built = self.prepared.built is not None
        architecture = self.reading.in_file() if built else None
        to = expected, architecture, self._writer, self.renames, self._target.listed
        given = restore_table(stored, *to)
        return given if built else self._in_model_order(given, stored, expected)

    def _in_model_order(self, given: Steps, stored: Table, expected: Table) -> Given:
        """With what lies in the writer's order of axes put into the model's."""
        from kerasguard.models import axis_orders

        first = channels_first(stored, given, self.reading, self.prepared.custom_objects)
        if first is False:
            return given
        ours = axis_orders.rows_of(self._target.model, self._target.visits)
        return in_model_order(given, expected, ours, first)

    def doubts(self, expected: Table, given: Given, out: LeftOut) -> Iterator[Finding]:
        """What the caller's model computes otherwise than the stored one."""
        if self.prepared.built is None and given:
            stored = without(self.reading.table, _kept(self.reading))
            yield from unlike_saved(expected, stored, given, self.reading, self.prepared, out)


class ByObjects(Addressing):
    """Keys that are attributes, which nest as TensorFlow's objects do."""

    def layers(self, stored: Table) -> Mapping[str, LayerRecord]:
        """With digests of the configs that lie beside single layers, too."""
        layers = dict(super().layers(stored))
        if not self.prepared.spelt_out:
            for key, digest in self._digests():
                if key in layers:
                    layers[key] = replace(layers[key], config_digest=digest)
        return layers

    def steps(self, stored: Table, expected: Table) -> Given:
        """By an older walk where keys are such, else by the attributes of the built model."""
        if self.renames or _fits(stored, expected):
            return None
        if stored.addressing == "key":
            steps = _by_older_walk(self._target, stored, expected, "", fits=False)
            if steps is not None:
                return steps
        elif self.prepared.built is None:
            return None
        from kerasguard.models import attributes

        found = attributes.attribute_keys(self._target.model, self._target.places, _weights(stored))
        return restore_older_paths(stored, expected, found)

    def _digests(self) -> Iterator[tuple[str, str]]:
        """By layer, the digest of the config that the checkpoint has of it beside its weights."""
        from kerasguard.models import live_graph

        configs = self.reading.checkpoint.layer_configs()
        if not configs:
            return
        # Kernels are the same for both orders of axes, so the order is no difference here.
        first = {k for k, c in configs.items() if _data_format(c) == "channels_first"}
        axes = live_graph.axis_spellings(
            (v.object for v in self._target.visits), channels_first=bool(first)
        )
        for key, config in configs.items():
            if key in first:
                config = {**config, "config": {**config["config"], "data_format": "channels_last"}}
            layer = stored_layer(config, self._writer, self.prepared.custom_objects)
            yield key, "" if layer is None else live_graph.layer_digest(layer, axes)


def _by_older_walk(
    target: Any, stored: Table, expected: Table, version: str, *, fits: bool
) -> list[Step] | None:
    """Steps by the keys of the walk that the writer's version had; None where they are today's."""
    from kerasguard.models import older_walk

    for habits in older_walk.habits_of(version):
        found = older_walk.older_keys(target.model, target.places, habits, _weights(stored))
        if fits and all(old == new for old, new in found.items()):
            return None
        if (steps := restore_older_paths(stored, expected, found)) is not None:
            return steps
    return None


def _weights(table: Table) -> list[str]:
    return [key for key, record in table.tensors.items() if record.role == "weight"]


def _fits(stored: Table, expected: Table) -> bool:
    return all(key in stored.tensors for key in _weights(expected))


def _kept(reading: Reading) -> Container[str]:
    return reading.manifest.kept if reading.manifest else {}


def _undigested(layers: Mapping[str, LayerRecord]) -> dict[str, LayerRecord]:
    return {key: replace(layer, config_digest="") for key, layer in layers.items()}


def _by_name(layers: Iterable[LayerRecord]) -> dict[str, LayerRecord]:
    """The layers whose name no other has."""
    found: dict[str, list[LayerRecord]] = {}
    for layer in layers:
        found.setdefault(layer.name, []).append(layer)
    return {name: same[0] for name, same in found.items() if len(same) == 1}


def _data_format(config: Mapping[str, Any]) -> Any:
    inner = config.get("config")
    return inner.get("data_format") if isinstance(inner, Mapping) else None
