"""The model to restore into: the caller's, or one built from the checkpoint's own architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kerasguard.blueprint.objects import without_compiling
from kerasguard.blueprint.stored_graph import both_ways, graph_is_run, graph_refused
from kerasguard.blueprint.working import Blueprint
from kerasguard.errors import ArchitectureError, ModelError
from kerasguard.layouts import likely_writer, other_function, other_masks
from kerasguard.loader.config_argument import beside
from kerasguard.loader.given_config import GivenConfig
from kerasguard.loader.layer_limit import too_many_layers
from kerasguard.loader.prepared import Prepared
from kerasguard.loader.reading import Reading
from kerasguard.loader.recorded_optimizers import stateless, with_optimizers
from kerasguard.loader.request import Request
from kerasguard.loader.stored_values import StoredValues
from kerasguard.migrations import drawn, run
from kerasguard.migrations.compile_arguments import compiled_in_part, not_compiled
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import Table

__all__ = ["prepare"]


def prepare(reading: Reading, request: Request, given: GivenConfig | None = None) -> Prepared:
    """Build the model, or take the caller's.

    Args:
        reading: the checkpoint.
        request: the caller's.
        given: its config. It stands for the stored one where there is none; else the model that
            it describes is taken for the caller's own, and compared with what is stored.

    Raises:
        ModelError: the caller's model was never built.
        ArchitectureError: no model can be built from the checkpoint.
    """
    from kerasguard.models import environment

    environment.require_keras_3()
    if given is not None:
        if reading.architecture() is not None or not given.describes(reading.table):
            return _described(reading, request, given)
        reading.config = given
    if request.model is None:
        return _rebuilt(reading, request)
    return _taken(reading, request)


def _taken(reading: Reading, request: Request) -> Prepared:
    """The caller's model, with what it lacks to be restored."""
    from kerasguard.models import assign, environment, optimizers, unbuilt

    model = request.model
    guessed = unbuilt.build_parts(model, _shapes(reading.table), reading.architecture)
    if not getattr(model, "built", True) and not model.weights:
        raise ModelError(
            f"model {model.name!r} was never built, so its weights do not exist yet; call it "
            "on data or call model.build(input_shape) first"
        )
    if request.compile:
        optimizers.build_optimizers(model, reading.whole_table)
        environment.build_metrics(model, _metrics(reading))
    writer = likely_writer(reading.table, reading.writer())
    findings = (
        *other_function(environment.layers_with_hard_sigmoid(model), writer),
        *other_masks(environment.layers_with_several_masks(model), writer),
        *(stateless(model, reading) if request.compile else ()),
    )
    return Prepared(
        assign.Sink(model, keys=reading.traits.keys),
        findings,
        unbuilt=unbuilt.unbuilt(model),
        guessed=guessed,
        custom_objects=request.custom_objects or {},
    )


def _shapes(stored: Table) -> list[tuple[int, ...]]:
    return [r.spec.shape for r in stored.tensors.values() if r.role == "weight"]


def _rebuilt(reading: Reading, request: Request) -> Prepared:
    """A model of layers where the file allows one, else its program if the caller allows it."""
    program = reading.traits.program
    if reading.architecture() is None:
        if not program:
            raise ArchitectureError(_bare(reading.path))
        if "graph" not in request.allowed:
            raise ArchitectureError(graph_refused(reading.path))
        return _program(reading, "the SavedModel has no Keras config")
    try:
        return _built(reading, request)
    except ArchitectureError as error:
        if not program:
            told = f"{error}" if str(reading.path) in str(error) else f"{reading.path}: {error}"
            raise ArchitectureError(told) from (error.__cause__ or error)
        if "graph" not in request.allowed:
            raise ArchitectureError(both_ways(str(error))) from error
        return _program(reading, str(error))


def _bare(path: Path) -> str:
    """Why nothing can be built, and the architecture that may lie beside."""
    name = beside(path)
    pair = f"{str(path)!r}, config={str(path.with_name(name))!r}" if name else 'path, config="..."'
    there = (
        f"{name} beside it looks like one" if name else "its JSON, from model.to_json(), is enough"
    )
    return (
        f"{path}: holds weights but no architecture; {there}: kerasguard.load({pair}); or build "
        "the model and pass it: kerasguard.load(path, model=model)"
    )


def _program(reading: Reading, reason: str) -> Prepared:
    """The SavedModel's own graph as the model; it is not run before all is verified."""
    from kerasguard.models import tf_graph

    files = reading.manifest.files if reading.manifest else ()
    recorded = {record.name: record.sha256 for record in files if record.sha256}
    checkpoint = reading.checkpoint
    sink = tf_graph.GraphSink(reading.path, checkpoint.files(), reading.table, recorded)
    return Prepared(sink, (graph_is_run(reason),), as_stored=True)


def _metrics(reading: Reading) -> set[str]:
    """Keys of the metric state that was kept, or that the format holds."""
    found = reading.manifest.recorded if reading.manifest else {}
    kept = reading.manifest.kept if reading.manifest else {}
    return {k for k, r in found.items() if r.role == "metric" and (k in kept or r.stored_as)}


@dataclass(frozen=True)
class _Made:
    """A model that was just built from an architecture.

    Args:
        stored: the architecture, without what the caller left out.
        blueprint: the migrated one.
        built: the model.
        findings: of all this.
    """

    stored: Mapping[str, Any]
    blueprint: Blueprint
    built: Any
    findings: tuple[Finding, ...]


def _made(
    found: Mapping[str, Any], writer: Mapping[str, str], reading: Reading, request: Request
) -> _Made:
    """Migrate an architecture, by what the tensors beside it tell too, and build its model."""
    from kerasguard.models import build, custom, environment, fast_build, unbuilt

    if reason := too_many_layers(found):
        raise ArchitectureError(f"{reading.path}: {reason}")
    model = {key: value for key, value in found.items() if key != "training_config"}
    if not request.compile:
        model = without_compiling(model)
    custom_objects = request.custom_objects or {}
    blueprint = drawn(
        found if request.compile else model,
        writer,
        **environment.supplied(custom_objects)._asdict(),
        allow=_allowed(reading, request),
        stored=reading.table,
        values=StoredValues(reading.checkpoint),
    )
    with fast_build.less_work():
        run(blueprint)
    findings = tuple(blueprint.findings)
    _refuse(reading, findings)
    migrated = custom.without_untaken_defaults(blueprint.architecture, custom_objects)
    built = build.build(migrated, custom_objects=custom_objects, compile=request.compile)
    unbuilt.build_parts(built.model, _shapes(reading.table), lambda: model)
    if request.compile:
        findings += _compiled(built.model, blueprint, custom_objects, reading)
    return _Made(model, blueprint, built, findings)


def _described(reading: Reading, request: Request, given: GivenConfig) -> Prepared:
    """The model of the caller's config, compared with what the checkpoint tells as one of code."""
    writer = {**given.versions, "config": given.form}
    made = _made(given.architecture, writer, reading, request)
    made.built.skipped.fill()
    taken = _taken(reading, replace(request, model=made.built.model, config=None))
    return replace(
        taken,
        findings=(*made.findings, *taken.findings),
        taken=frozenset(made.blueprint.taken),
    )


def _built(reading: Reading, request: Request) -> Prepared:
    from kerasguard.models import assign, environment, live_use, switches, unbuilt

    found = reading.architecture()
    assert found is not None, "the caller has seen that there is one"
    custom_objects = request.custom_objects or {}
    made = _made(found, reading.config_writer(), reading, request)
    built, findings = made.built, made.findings
    if reading.manifest is not None:
        live_use.keep_uncast(built.model, reading.manifest.table.layers)
        switches.set_as_recorded(built.model, reading.manifest.table)
    if request.compile:
        findings += with_optimizers(built.model, reading, custom_objects)
    environment.build_metrics(built.model, _metrics(reading))
    return Prepared(
        assign.Sink(built.model, keys=reading.traits.keys),
        findings,
        built,
        taken=frozenset(made.blueprint.taken),
        unbuilt=unbuilt.unbuilt(built.model),
        migrated=_uncompiled(made.blueprint.architecture) != _uncompiled(made.stored),
        spelt_out=bool(made.stored.get("config")),
        custom_objects=custom_objects,
    )


def _uncompiled(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Without what no layer's digest has anything to do with."""
    return {key: value for key, value in architecture.items() if key != "compile_config"}


def _allowed(reading: Reading, request: Request) -> frozenset[str]:
    """What the caller allows; also to read Lambdas where the manifest's probe will prove it."""
    proven = request.probe and reading.manifest is not None and bool(reading.manifest.probe)
    return request.allowed | ({"lambdas"} if proven else set())


def _refuse(reading: Reading, findings: Sequence[Finding]) -> None:
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if errors:
        lines = "\n".join(f"  {finding}" for finding in errors)
        raise ArchitectureError(f"{reading.path}: the model cannot be built:\n{lines}")


def _compiled(
    model: Any, blueprint: Blueprint, custom_objects: Mapping[str, Any], reading: Reading
) -> tuple[Finding, ...]:
    """Compile a model as a legacy file says, or where its class overrides `compile`."""
    from kerasguard.models import build, own_compile

    own = own_compile.has_own_compile(model)
    stored = blueprint.architecture.get("compile_config") if own else None
    arguments = blueprint.compile_arguments or stored
    if not arguments:
        return ()
    try:
        reason = build.compile_model(model, arguments, custom_objects)
    except ValueError as error:
        reason = str(error)
    if reason:
        return (Finding("KG430", "", not_compiled(reason), Severity.WARNING),)
    if not own:
        return ()
    others = reading.manifest.optimizer.get("others", ()) if reading.manifest else ()
    recorded = {one["attribute"] for one in others}
    lost = [name for name in own_compile.own_arguments(model) if name not in recorded]
    message = compiled_in_part(type(model).__name__, lost)
    return (Finding("KG430", "", message, Severity.INFO),)
