"""The model to restore into: the caller's, or one built from the checkpoint's own architecture."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from kerasguard.diagnose import Policy, RepairPlan, diagnose
from kerasguard.errors import ArchitectureError, ModelError
from kerasguard.findings import Finding, Severity
from kerasguard.layouts import restore_table
from kerasguard.migrations import migrate
from kerasguard.migrations.compile_arguments import compile_config_from
from kerasguard.reading import Reading
from kerasguard.repairs import Step
from kerasguard.rules.learning_rate import learning_rate
from kerasguard.tensors import Table

__all__ = ["Prepared", "Rate", "prepare"]

Rate = Literal["auto", "stored", "compiled"]


@dataclass(frozen=True)
class Prepared:
    """A model to restore into, and what building it found."""

    target: Any
    findings: tuple[Finding, ...]
    built: Any = None

    def diagnose(
        self, reading: Reading, renames: Mapping[str, str] | None, repair: Policy
    ) -> RepairPlan:
        """Wait for the last byte and compare the three tables."""
        stored = reading.finish()
        expected = self._expected(stored)
        return diagnose(
            expected,
            stored,
            reading.manifest,
            repair=repair,
            renames=renames,
            problems=reading.problems,
            prior=self.findings,
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

    def _layouts(
        self, reading: Reading, stored: Table, expected: Table
    ) -> list[Step | Finding] | None:
        """Steps of a legacy file, whose tensors' layout depends on who wrote it."""
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
) -> Prepared:
    """Build the model, or take the caller's.

    Raises:
        ModelError: the caller's model was never built.
        ArchitectureError: no model can be built from the checkpoint.
    """
    from kerasguard.integrations import keras_assign, keras_environment

    if model is None:
        return _built(reading, custom_objects or {}, compile=compile)
    if not getattr(model, "built", True):
        raise ModelError(
            f"model {model.name!r} was never built, so its weights do not exist yet; call it "
            "on data or call model.build(input_shape) first"
        )
    if compile:
        keras_environment.build_optimizer(model)
        keras_environment.build_metrics(model, _metrics(reading))
    return Prepared(keras_assign.Sink(model), ())


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
    if found is None:
        raise ArchitectureError(
            f"{reading.path}: holds weights and no architecture; build the model and pass it: "
            "kerasguard.load(path, model=model)"
        )
    stored = dict(found)
    training = stored.pop("training_config", None)
    known = keras_environment.registered_names() | set(custom_objects)
    migrated, findings = migrate(stored, reading.writer(), known=frozenset(known))
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
    return Prepared(keras_assign.Sink(built.model), tuple(findings), built)


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
