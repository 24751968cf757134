"""A model that is ready to be restored into, and the plan that it takes."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kerasguard.diagnose import diagnose
from kerasguard.layouts import (
    as_dense,
    changed_defaults,
    likely_writer,
    restore_older_paths,
    restore_table,
    unsorted_dicts,
    without_statistics,
)
from kerasguard.loader.reading import Reading
from kerasguard.loader.stored_configs import (
    is_older,
    stored_ends,
    stored_layer,
    unadapted,
    unlike_saved,
)
from kerasguard.planning.findings import Finding
from kerasguard.planning.operations import Op, Step
from kerasguard.planning.plan import Policy, RepairPlan
from kerasguard.rules.learning_rate import learning_rate
from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["Prepared", "Rate"]

Rate = Literal["auto", "stored", "compiled"]


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
    taken: frozenset[str] = frozenset()

    def diagnose(
        self, reading: Reading, renames: Mapping[str, str] | None, repair: Policy
    ) -> RepairPlan:
        """Wait for the last byte and compare the three tables."""
        stored = _without(reading.finish(), self.taken)
        expected = self._expected(stored)
        stored, first = self._dense(stored, reading, expected)  # first: it goes by old classes
        stored = self._configured(stored, reading)
        if not self.as_stored:
            expected, stored = unadapted(expected, stored, reading, self.target.visits)
        given = self._layouts(reading, stored, expected)
        plan = diagnose(
            expected,
            stored,
            reading.manifest,
            repair=repair,
            renames=renames,
            problems=reading.problems,
            prior=(*self.findings, *self._doubts(reading, expected, given)),
            own=self.built is not None,
            unbuilt=self.unbuilt,
            absent=self._absent(reading),
            loss=reading.loss,
            given=given,
        )
        steps = (replace(s, ops=(*first.get(s.sources[0], ()), *s.ops)) for s in plan.steps)
        return replace(plan, steps=tuple(steps)) if first else plan

    def settled(self, decided: RepairPlan, reading: Reading, rate: Rate) -> RepairPlan:
        """The plan after the caller's choice of a learning rate.

        Where both rates are the same there is nothing to choose, nor where a program is run as
        it is stored.
        """
        if self.as_stored:
            return decided
        wanted = self.target.table.tensors
        rates = {key for key, record in wanted.items() if record.slot == "learning_rate"}
        steps = [s for s in decided.steps if s.target in rates]
        keeps = rate == "compiled" or (rate == "auto" and self.built is None)
        for step in steps:
            stored = float(reading.values((step,))[step.target])
            if self.built is not None and not keeps:
                continue
            compiled = float(self.target.holds(step.target))
            if stored != compiled:
                finding = learning_rate(step.target, stored, compiled, keeps=keeps)
                decided = decided.with_finding(finding, leave=step.target if keeps else "")
        return decided

    def _absent(self, reading: Reading) -> list[TensorRecord]:
        """Vocabularies that no file is stored for."""
        folders = {path.rpartition("/")[0] for path in reading.assets()}
        found: Sequence[TensorRecord] = () if self.as_stored else self.target.vocabularies
        places = ((r, r.key.removeprefix("assets/").rpartition("/")[0]) for r in found)
        return [r for r, place in places if not folders & {place, r.layer}]

    def _dense(
        self, stored: Table, reading: Reading, expected: Table
    ) -> tuple[Table, dict[str, tuple[Op, ...]]]:
        """The stored table with layers as today's compute them, and what is done for it first."""
        if self.built is None or reading.traits.keys == "order":
            return stored, {}
        stored = without_statistics(stored, expected)
        return as_dense(stored, expected, reading.checkpoint.architecture(), reading.writer())

    def _expected(self, stored: Table) -> Table:
        """The model's table; layers that do not know their own tensors yet expect the stored."""
        table: Table = self.target.table
        free, any_length = self.target.open_layers, self.target.open_keys
        if not free and not any_length:
            return table
        more = {
            k: r
            for k, r in stored.tensors.items()
            if k in any_length or k.rpartition("/vars/")[0] in free
        }
        return replace(table, tensors={**table.tensors, **more})

    def _configured(self, stored: Table, reading: Reading) -> Table:
        """The stored table with config digests that can be compared with the model's.

        The digest of a config that had to be migrated says nothing, that of the migrated layer
        does. A model that was built from its layers' configs leaves nothing to compare.
        """
        layers = dict(stored.layers)
        if self.migrated:
            layers = self._as_built(_undigested(layers), reading)
        elif is_older(reading):
            # Options that came since are in one config and not in the other.
            layers = self._as_today(stored, reading) if self.built is None else _undigested(layers)
        if not self.as_stored and not self.spelt_out:
            for key, digest in self._stored_digests(reading):
                if key in layers:
                    layers[key] = replace(layers[key], config_digest=digest)
        ends = {} if self.built else stored_ends(layers, reading)
        return replace(stored, layers=layers, ends=ends)

    def _as_built(self, layers: dict[str, LayerRecord], reading: Reading) -> dict[str, LayerRecord]:
        """The stored layers with the classes that their namesakes were built as.

        Only where the names are those of the architecture that the model was built from.
        """
        if self.built is None or reading.traits.keys != "walk":
            return layers
        ours = _by_name(self.target.table.layers.values())
        theirs = _by_name(layers.values())
        for name, layer in theirs.items():
            if layer.class_name and name in ours and ours[name].class_name != layer.class_name:
                layers[layer.key] = replace(layer, class_name=ours[name].class_name)
        return layers

    def _as_today(self, stored: Table, reading: Reading) -> dict[str, LayerRecord]:
        """The stored layers as this Keras makes them: options and classes may have other names."""
        from kerasguard.models import live_graph, walk

        config = reading.architecture()
        model = config and stored_layer(config, reading.config_writer(), self.custom_objects)
        if not model:
            return _undigested(stored.layers)
        visits = list(walk.walk(model))
        axes = live_graph.axis_spellings(
            (v.object for v in self.target.visits), channels_first=False
        )
        made = live_graph.records_of(visits, axes)
        weighty = {r.layer for r in stored.tensors.values() if r.role == "weight"}
        same = weighty & stored.layers.keys() <= made.keys()
        return made if same else _undigested(stored.layers)

    def _stored_digests(self, reading: Reading) -> Iterator[tuple[str, str]]:
        """By layer, the digest of the config that the checkpoint has of it beside its weights."""
        from kerasguard.models import live_graph

        configs = reading.checkpoint.layer_configs()
        if not configs:
            return
        # Kernels are the same for both orders of axes, so the order is no difference here.
        first = {k for k, c in configs.items() if _data_format(c) == "channels_first"}
        axes = live_graph.axis_spellings(
            (v.object for v in self.target.visits), channels_first=bool(first)
        )
        for key, config in configs.items():
            if key in first:
                config = {**config, "config": {**config["config"], "data_format": "channels_last"}}
            layer = stored_layer(config, reading.writer(), self.custom_objects)
            yield key, "" if layer is None else live_graph.layer_digest(layer, axes)

    def _doubts(
        self, reading: Reading, expected: Table, given: Sequence[Step | Finding] | None
    ) -> Iterator[Finding]:
        """What old files leave open of the caller's model, or tell of it beside the tensors."""
        bare = not reading.traits.config and not reading.checkpoint.layer_configs()
        if self.built is None and bare:
            writer = likely_writer(reading.table, reading.writer())
            if "keras" in writer:
                yield from changed_defaults(expected, writer)
        if reading.traits.keys == "walk" and not given:
            yield from unsorted_dicts(expected, reading.table, reading.writer())
        if self.built is None and reading.traits.keys == "order" and given:
            visits = self.target.visits
            stored = _own(reading.table, reading)
            yield from unlike_saved(expected, stored, given, reading, self.custom_objects, visits)

    def _layouts(
        self, reading: Reading, stored: Table, expected: Table
    ) -> Sequence[Step | Finding] | None:
        """Steps of an old file, whose tensors' layout or place depends on who wrote it."""
        if self.as_stored:
            return [Step(key, (key,)) for key in stored.tensors]
        mine, theirs = _without(expected, self.target.hidden), _own(stored, reading)
        if reading.traits.keys != "order":
            return self._older_paths(theirs, mine, reading)
        told = None if self.built is None else reading.checkpoint.architecture()
        return restore_table(theirs, mine, told, reading.writer())

    def _older_paths(self, stored: Table, expected: Table, reading: Reading) -> list[Step] | None:
        """Steps by the paths of an older walk, or of attributes, which nest as objects do."""
        weights = [k for k, r in expected.tensors.items() if r.role == "weight"]
        version = reading.writer().get("keras", "") if reading.traits.keys == "walk" else ""
        fits = all(k in stored.tensors for k in weights)
        if fits and not version.startswith("2."):
            return None
        from kerasguard.models import attributes, older_walk

        objects = reading.traits.keys == "objects"
        paths = [k for k, r in stored.tensors.items() if r.role == "weight"]
        target = self.target
        if stored.addressing == "key":
            for habits in older_walk.habits_of(version):
                found = older_walk.older_keys(target.model, target.places, habits, paths)
                if fits and all(old == new for old, new in found.items()):
                    return None
                if (steps := restore_older_paths(stored, expected, found)) is not None:
                    return steps
            if not objects:
                return None
        elif not objects or self.built is None:
            return None
        found = attributes.attribute_keys(target.model, target.places, paths)
        return restore_older_paths(stored, expected, found)

    def finish(self, values: Mapping[str, Any]) -> None:
        """Give their initial values to variables that no step filled."""
        if self.built is not None:
            self.built.skipped.fill(except_variables=self.target.filled_by(values))


def _undigested(layers: Mapping[str, LayerRecord]) -> dict[str, LayerRecord]:
    return {key: replace(layer, config_digest="") for key, layer in layers.items()}


def _by_name(layers: Iterable[LayerRecord]) -> dict[str, LayerRecord]:
    """The layers whose name no other has."""
    found: dict[str, list[LayerRecord]] = {}
    for layer in layers:
        found.setdefault(layer.name, []).append(layer)
    return {name: same[0] for name, same in found.items() if len(same) == 1}


def _own(stored: Table, reading: Reading) -> Table:
    """What lies in the file itself, not in its companion."""
    return _without(stored, reading.manifest.kept if reading.manifest else {})


def _without(table: Table, keys: Container[str]) -> Table:
    return replace(table, tensors={k: r for k, r in table.tensors.items() if k not in keys})


def _data_format(config: Mapping[str, Any]) -> Any:
    inner = config.get("config")
    return inner.get("data_format") if isinstance(inner, Mapping) else None
