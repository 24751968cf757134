"""What the keys of a checkpoint mean for the model it goes into: one class per way of addressing.

`ways.addressing` chooses once, by what the format says of its keys (`Traits.keys`); everything that
depends on it is a method here, so that nobody behind asks which format was opened.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kerasguard.blueprint.architecture import layer_configs
from kerasguard.identity.reduced import reduced, without
from kerasguard.layouts import (
    in_model_order,
    rare_tokens,
    restore_older_paths,
    restore_table,
    unsorted_dicts,
)
from kerasguard.loader import other_keras
from kerasguard.loader.addressed import (
    Addressing,
    Given,
    Steps,
    by_older_walk,
    has_all,
    undigested,
    weights_of,
)
from kerasguard.loader.reading import Reading
from kerasguard.loader.recorded_layers import recorded_layers, unlike_recorded
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


class ByWalk(Addressing):
    """Keys by which Keras 3 walks a model; older versions walked otherwise."""

    def layers(self, stored: Table) -> Mapping[str, LayerRecord]:
        """A migrated model has the digests of its layers; so has one that is built to compare."""
        if self.prepared.migrated:
            return self._as_built(undigested(stored.layers))
        if not is_older(self.reading, self._target.model):
            return stored.layers
        if other_keras.is_other(self._target.model):
            return self._as_stored(stored)
        # Options that came since are in one config and not in the other.
        return self._as_today(stored) if self.prepared.built is None else undigested(stored.layers)

    def steps(self, stored: Table, expected: Table) -> Given:
        """By the keys of the writer's walk, where they are others than today's."""
        if self.renames:  # names decide, as the caller says
            return None
        version = self._writer.get("keras", "")
        fits = has_all(stored, expected)
        if stored.addressing != "key" or (fits and not version.startswith("2.")):
            return None
        if fits and other_keras.is_other(self._target.model):
            return None  # it walks as it always did
        return by_older_walk(self._target, stored, expected, version, fits=fits)

    def doubts(self, expected: Table, given: Given, out: LeftOut) -> Iterator[Finding]:
        """Dicts of layers, whose order another version wrote, too."""
        yield from super().doubts(expected, given, out)
        if not given and not self._same_keras:
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

    def _as_stored(self, stored: Table) -> Mapping[str, LayerRecord]:
        """The stored layers as their configs say, for a model that is not of Keras 3."""
        told = layer_configs(self.reading.architecture() or {})
        live = {visit.path: visit.object for visit in self._target.visits}
        return other_keras.digested_like(stored.layers, {k: (c, o) for k, c, o in told}, live)

    def _as_today(self, stored: Table) -> Mapping[str, LayerRecord]:
        """The stored layers as this Keras makes them: options and classes may have other names."""
        from kerasguard.models import walk

        config, custom = self.reading.architecture(), self.prepared.custom_objects
        model = config and stored_layer(config, self.reading.config_writer(), custom)
        if not model:
            return undigested(stored.layers)
        visits = list(walk.walk(model))
        made = rebuilt_layers(visits, self._target.visits, self.reading.config_writer())
        weighty = {r.layer for r in stored.tensors.values() if r.role == "weight"}
        same = weighty & stored.layers.keys() <= made.keys()
        return made if same else undigested(stored.layers)


class ByOrder(Addressing):
    """Layers and their weights in the order in which Keras 1 and 2 listed them."""

    def dense(self, stored: Table, expected: Table) -> tuple[Table, dict[str, tuple[Op, ...]]]:
        """As it is: what old layers were is part of the layout."""
        return stored, {}

    def layers(self, stored: Table) -> Mapping[str, LayerRecord]:
        """Those that the file has; `doubts` compares what was recorded by another key."""
        layers, others = super().layers(stored), recorded_layers(self.reading)
        return {key: layer for key, layer in layers.items() if key not in others}

    def steps(self, stored: Table, expected: Table) -> Given:
        """By the layout of each layer's class at the writer's time."""
        built = self.prepared.built is not None
        architecture = self.reading.in_file() if built else None
        to = expected, architecture, self._writer, self.renames, self._target.listed
        given = restore_table(stored, *to)
        used = {key for step in given if isinstance(step, Step) for key in step.sources}
        kept = _kept(self.reading)
        given += (
            step
            for step in rare_tokens(stored, self._target.table, used)
            if step.target not in kept
        )
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
        own = recorded_layers(self.reading)
        if not given or (self.prepared.built is not None and not own):
            return
        stored = without(self.reading.table, _kept(self.reading))
        if other_keras.is_other(self._target.model):
            visits = self._target.visits
            yield from other_keras.unlike_saved(expected, stored, given, self.reading, visits)
        elif own:
            yield from unlike_recorded(expected, stored, given, self.reading, self._target, out)
        else:
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
        if self.renames or has_all(stored, expected):
            return None
        if stored.addressing == "key":
            steps = by_older_walk(self._target, stored, expected, "", fits=False)
            if steps is not None:
                return steps
        elif self.prepared.built is None and not other_keras.is_other(self._target.model):
            return None  # a model of Keras 3 need not hold its layers as the writer's did
        from kerasguard.models import attributes

        found = attributes.attribute_keys(
            self._target.model, self._target.places, weights_of(stored)
        )
        return restore_older_paths(stored, expected, found)

    def _digests(self) -> Iterator[tuple[str, str]]:
        """By layer, the digest of the config that the checkpoint has of it beside its weights."""
        from kerasguard.models import live_graph

        configs = self.reading.checkpoint.layer_configs()
        if not configs:
            return
        if other_keras.is_other(self._target.model):
            yield from self._like_ours(configs)
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

    def _like_ours(self, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        """Digests for a model that is not of Keras 3."""
        from kerasguard.models import attributes

        target, stored = self._target, self.reading.table
        paths = weights_of(stored)
        keys = attributes.attribute_keys(target.model, target.places, paths)
        live = {stored.tensors[p].layer: target.places[k].visit.object for p, k in keys.items()}
        told = {k: (str(c.get("class_name")), c.get("config") or {}) for k, c in configs.items()}
        for key, layer in other_keras.digested_like(stored.layers, told, live).items():
            if key in told:
                yield key, layer.config_digest


def _kept(reading: Reading) -> Container[str]:
    return reading.manifest.kept if reading.manifest else {}


def _by_name(layers: Iterable[LayerRecord]) -> dict[str, LayerRecord]:
    """The layers whose name no other has."""
    found: dict[str, list[LayerRecord]] = {}
    for layer in layers:
        found.setdefault(layer.name, []).append(layer)
    return {name: same[0] for name, same in found.items() if len(same) == 1}


def _data_format(config: Mapping[str, Any]) -> Any:
    inner = config.get("config")
    return inner.get("data_format") if isinstance(inner, Mapping) else None
