"""The model to restore into: the caller's, or one built from the checkpoint's own architecture."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kerasguard.diagnose import Policy, RepairPlan, diagnose
from kerasguard.errors import ArchitectureError, ModelError
from kerasguard.findings import Finding, Severity
from kerasguard.layouts import changed_defaults, restore_table
from kerasguard.migrations import migrate
from kerasguard.migrations.compile_arguments import compile_config_from
from kerasguard.migrations.stored_graph import both_ways, graph_is_run, graph_refused
from kerasguard.reading import Reading
from kerasguard.repairs import Step
from kerasguard.rules.learning_rate import learning_rate
from kerasguard.tensors import Table

__all__ = ["Prepared", "Rate", "prepare"]

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
    """

    target: Any
    findings: tuple[Finding, ...]
    built: Any = None
    as_stored: bool = False
    migrated: bool = False
    spelt_out: bool = False
    custom_objects: Mapping[str, Any] = field(default_factory=dict)

    def diagnose(
        self, reading: Reading, renames: Mapping[str, str] | None, repair: Policy
    ) -> RepairPlan:
        """Wait for the last byte and compare the three tables."""
        stored = reading.finish()
        expected = self._expected(stored)
        stored = self._configured(stored, reading)
        return diagnose(
            expected,
            stored,
            reading.manifest,
            repair=repair,
            renames=renames,
            problems=reading.problems,
            prior=(*self.findings, *self._defaults(reading, expected)),
            own=self.built is not None,
            loss=reading.loss,
            given=self._layouts(reading, stored, expected),
        )

    def settled(self, decided: RepairPlan, reading: Reading, rate: Rate) -> RepairPlan:
        """The plan after the caller's choice of a learning rate.

        Where both rates are the same there is nothing to choose.
        """
        wanted = self.target.table.tensors
        steps = [s for s in decided.steps if wanted[s.target].slot == "learning_rate"]
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
            layers = {key: replace(layer, config_digest="") for key, layer in layers.items()}
        if not self.as_stored and not self.spelt_out:
            for key, digest in self._stored_digests(reading):
                if key in layers:
                    layers[key] = replace(layers[key], config_digest=digest)
        return replace(stored, layers=layers)

    def _stored_digests(self, reading: Reading) -> Iterator[tuple[str, str]]:
        """By layer, the digest of the config that the checkpoint has of it beside its weights."""
        from kerasguard.integrations import keras_graph

        told = getattr(reading.checkpoint, "layer_configs", None)
        configs: Mapping[str, Any] = told() if told else {}
        if not configs:
            return
        # Kernels are the same for both orders of axes, so the order is no difference here.
        first = {k for k, c in configs.items() if _data_format(c) == "channels_first"}
        axes = keras_graph.axis_spellings(
            (v.object for v in self.target.visits), channels_first=bool(first)
        )
        for key, config in configs.items():
            if key in first:
                config = {**config, "config": {**config["config"], "data_format": "channels_last"}}
            layer = _stored_layer(config, reading.writer(), self.custom_objects)
            yield key, "" if layer is None else keras_graph.layer_digest(layer, axes)

    def _defaults(self, reading: Reading, expected: Table) -> Iterator[Finding]:
        """Layers of the caller's model that old weights do not describe, where no config does."""
        told = getattr(reading.checkpoint, "layer_configs", None)
        if self.built is None and reading.checkpoint.name == "tf_checkpoint" and not told():
            yield from changed_defaults(expected, reading.writer())

    def _layouts(
        self, reading: Reading, stored: Table, expected: Table
    ) -> list[Step | Finding] | None:
        """Steps of a legacy file, whose tensors' layout depends on who wrote it; of a program."""
        if self.as_stored:
            return [Step(key, (key,)) for key in stored.tensors]
        if reading.checkpoint.name != "legacy_h5":
            return None
        told = None if self.built is None else reading.checkpoint.architecture()
        kept = reading.manifest.kept if reading.manifest else {}
        mine, theirs = _without(expected, self.target.hidden), _without(stored, kept)
        return restore_table(theirs, mine, told, reading.writer())

    def finish(self, values: Mapping[str, Any]) -> None:
        """Give their initial values to variables that no step filled."""
        if self.built is not None:
            self.built.skipped.fill(except_variables=self.target.filled_by(values))


def _without(table: Table, keys: Container[str]) -> Table:
    return replace(table, tensors={k: r for k, r in table.tensors.items() if k not in keys})


def prepare(
    reading: Reading,
    model: Any,
    custom_objects: Mapping[str, Any] | None,
    *,
    compile: bool,  # noqa: A002
    allow_graph: bool = False,
) -> Prepared:
    """Build the model, or take the caller's.

    Raises:
        ModelError: the caller's model was never built.
        ArchitectureError: no model can be built from the checkpoint.
    """
    from kerasguard.integrations import keras_assign, keras_environment

    if model is None:
        return _rebuilt(reading, custom_objects or {}, compile=compile, allow_graph=allow_graph)
    if not getattr(model, "built", True):
        raise ModelError(
            f"model {model.name!r} was never built, so its weights do not exist yet; call it "
            "on data or call model.build(input_shape) first"
        )
    if compile:
        keras_environment.build_optimizer(model)
        keras_environment.build_metrics(model, _metrics(reading))
    return Prepared(keras_assign.Sink(model), (), custom_objects=custom_objects or {})


def _rebuilt(
    reading: Reading,
    custom_objects: Mapping[str, Any],
    *,
    compile: bool,  # noqa: A002
    allow_graph: bool,
) -> Prepared:
    """A model of layers where the file allows one, else its program if the caller allows it."""
    program = reading.checkpoint.name == "saved_model"
    if reading.architecture() is None:
        if not program:
            raise ArchitectureError(
                f"{reading.path}: holds weights and no architecture; build the model and pass it: "
                "kerasguard.load(path, model=model)"
            )
        if not allow_graph:
            raise ArchitectureError(graph_refused(reading.path))
        return _program(reading, "the SavedModel has no Keras config")
    try:
        return _built(reading, custom_objects, compile=compile)
    except ArchitectureError as error:
        if not program:
            raise
        if not allow_graph:
            raise ArchitectureError(both_ways(str(error))) from error
        return _program(reading, str(error))


def _program(reading: Reading, reason: str) -> Prepared:
    """The SavedModel's own graph as the model; it is not run before all is verified."""
    from kerasguard.integrations import tf_graph

    recorded = {r.name: r.sha256 for r in (reading.manifest.files if reading.manifest else ())}
    checkpoint = reading.checkpoint
    sink = tf_graph.GraphSink(reading.path, checkpoint.files(), reading.table, recorded)
    return Prepared(sink, (graph_is_run(reason),), as_stored=True)


def _metrics(reading: Reading) -> set[str]:
    """Keys of the metric state that was kept."""
    kept = reading.manifest.kept if reading.manifest else {}
    return {key for key, record in kept.items() if record.role == "metric"}


def _built(
    reading: Reading,
    custom_objects: Mapping[str, Any],
    *,
    compile: bool,  # noqa: A002
) -> Prepared:
    from kerasguard.integrations import keras_assign, keras_build, keras_custom, keras_environment

    found = reading.architecture()
    assert found is not None, "the caller has seen that there is one"
    stored = dict(found)
    training = stored.pop("training_config", None)
    known = keras_environment.registered_names() | set(custom_objects)
    migrated, findings = migrate(stored, reading.writer(), known=frozenset(known))
    changed = migrated != stored
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if errors:
        lines = "\n".join(f"  {finding}" for finding in errors)
        raise ArchitectureError(f"{reading.path}: the model cannot be built:\n{lines}")
    migrated = keras_custom.without_untaken_defaults(migrated, custom_objects)
    built = keras_build.build(migrated, custom_objects=custom_objects, compile=compile)
    if not built.model.built:
        weights = [r for r in reading.table.tensors.values() if r.role == "weight"]
        keras_custom.build_by_weights(built.model, [r.spec.shape for r in weights])
    if training and compile:
        findings = (*findings, *_compiled(built.model, training, custom_objects))
    keras_environment.build_metrics(built.model, _metrics(reading))
    return Prepared(
        keras_assign.Sink(built.model),
        tuple(findings),
        built,
        migrated=bool(changed),
        spelt_out=bool(stored.get("config")),
        custom_objects=custom_objects,
    )


def _compiled(
    model: Any, training: Mapping[str, Any], custom_objects: Mapping[str, Any]
) -> list[Finding]:
    """Compile a model as a legacy file says; a finding where that cannot be done."""
    from kerasguard.integrations import keras_build

    try:
        reason = keras_build.compile_model(model, compile_config_from(training), custom_objects)
    except ValueError as error:
        reason = str(error)
    if not reason:
        return []
    message = f"the model is not compiled: {reason}; call model.compile(...) before training"
    return [Finding("KG430", "", message, Severity.WARNING)]


def _data_format(config: Mapping[str, Any]) -> Any:
    inner = config.get("config")
    return inner.get("data_format") if isinstance(inner, Mapping) else None


def _stored_layer(
    config: Mapping[str, Any], writer: Mapping[str, str], custom_objects: Mapping[str, Any]
) -> Any:
    """The layer that a stored config describes; None where it cannot be made today."""
    from kerasguard.integrations import keras_build, keras_environment

    known = keras_environment.registered_names() | set(custom_objects)
    try:
        migrated, findings = migrate(config, writer, known=frozenset(known))
        if any(finding.severity is Severity.ERROR for finding in findings):
            return None
        return keras_build.build(migrated, custom_objects=custom_objects, compile=False).model
    except ArchitectureError:
        return None
