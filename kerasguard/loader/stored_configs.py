"""What can be compared of the configs that a checkpoint tells, and the model's.

Configs of another Keras are spelled otherwise, and what `adapt` found is in some configs and put
back all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kerasguard.blueprint.architecture import (
    config_digest,
    graph_ends,
    layer_configs,
    layer_places,
    layer_records,
)
from kerasguard.errors import ArchitectureError
from kerasguard.identity.reduced import around, reduced, without_tail
from kerasguard.layouts import outputs_first, owner, restore_table
from kerasguard.layouts.origin import layer_configs as stored_configs
from kerasguard.loader.layer_limit import too_many_layers
from kerasguard.loader.prepared import Prepared
from kerasguard.loader.reading import Reading
from kerasguard.loader.recorded_layers import computed_otherwise
from kerasguard.migrations import migrate
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.left_out import LeftOut
from kerasguard.planning.operations import Step
from kerasguard.tensors import Ends, LayerRecord, Table
from kerasguard.tensors.copies import (
    ends_without_copies,
    first_places,
    is_inside,
    layers_without_copies,
)

__all__ = [
    "channels_first",
    "is_older",
    "once_each",
    "rebuilt_layers",
    "stored_ends",
    "stored_layer",
    "unadapted",
    "unlike_saved",
]

# Entries of a layer's config that are assets or states where `adapt` found them.
_PUT_BACK = frozenset({"vocabulary", "idf_weights", "bin_boundaries"})


def is_older(reading: Reading, model: Any = None) -> bool:
    """Whether a file has its layers spelled out by another version of Keras than the model's."""
    from kerasguard.models import environment

    before = reading.writer().get("keras")
    ours = environment.versions(model)["keras"]
    return reading.traits.keys == "walk" and before not in (None, ours)


def stored_layer(
    config: Mapping[str, Any], writer: Mapping[str, str], custom_objects: Mapping[str, Any]
) -> Any:
    """The layer that a stored config describes; None where it cannot be made today."""
    from kerasguard.models import build, environment

    if too_many_layers(config):
        return None
    try:
        told = environment.supplied(custom_objects)._asdict()
        migrated, findings = migrate(config, writer, **told)
        if any(finding.severity is Severity.ERROR for finding in findings):
            return None
        return build.build(migrated, custom_objects=custom_objects, compile=False).model
    except ArchitectureError:
        return None


def rebuilt_layers(
    made: Sequence[Any], visits: Iterable[Any], writer: Mapping[str, str]
) -> dict[str, LayerRecord]:
    """Records of a model that was made from a stored config, to compare the caller's with.

    Args:
        made: visits of the model that was made.
        visits: of the caller's model.
        writer: versions of the file's writer. What older Keras called has other arguments today
            where it was migrated, so those of Keras 2 tell nothing.
    """
    from kerasguard.models import live_graph

    axes = live_graph.axis_spellings((v.object for v in visits), channels_first=False)
    found = live_graph.records_of(made, axes)
    if writer.get("keras", "1.").startswith(("1.", "2.")):
        return {key: replace(layer, use=None) for key, layer in found.items()}
    return found


def stored_ends(layers: Mapping[str, LayerRecord], reading: Reading) -> dict[str, Ends]:
    """Inputs and outputs of the stored models, as recorded or as the architecture tells them."""
    found = dict(reading.manifest.table.ends) if reading.manifest else {}
    if not found:
        told = reading.architecture()
        own = {part for r in reading.table.tensors.values() for part in around(r.layer)}
        found = graph_ends(told, own) if told and layer_records(told) else {}
    return {
        model: ends
        for model, ends in found.items()
        if all(key in layers for tensors in ends for key, _, _ in tensors)
    }


def unlike_saved(
    expected: Table,
    stored: Table,
    given: Iterable[Step | Finding],
    reading: Reading,
    prepared: Prepared,
    out: LeftOut,
) -> Iterator[Finding]:
    """What the caller's model computes otherwise than the one in a file without keys for layers.

    The stored model is made as it would be loaded; its layers and the caller's are the same where
    both get the same stored tensors.

    Args:
        expected: of the caller's model.
        stored: of the file, without what its companion holds.
        given: the steps that restore it.
        reading: of the checkpoint.
        prepared: the caller's model.
        out: what the caller leaves out.
    """
    from kerasguard.models import live_calls, live_model, walk

    config = reading.architecture()
    model = config and stored_layer(config, reading.config_writer(), prepared.custom_objects)
    if not config or not model:
        return
    made = list(walk.walk(model))
    table = replace(
        live_model.model_table(model, optimizer=False),
        layers=rebuilt_layers(made, prepared.target.visits, reading.config_writer()),
        ends=live_calls.ends_of(made),
    )
    own = restore_table(stored, table, config, reading.writer())
    places = first_places(table.layers, live_calls.shared_places(prepared.target.visits))
    theirs = {s: _first(layer, places) for s, layer in _fed(own, table).items()}
    table = _without_copies(table, places)
    left = {s.target for s in own if isinstance(s, Step) and out.aside.issuperset(s.sources)}
    parts = reduced(expected, out.keys), reduced(table, left)
    expected, table = without_tail(parts, (expected, table))
    pairs = {e: theirs[source] for source, e in _fed(given, expected).items() if source in theirs}
    yield from computed_otherwise(expected, table, pairs)


def once_each(expected: Table, reading: Reading) -> Table:
    """A built model's table without second ones of layers that were one when they were saved.

    Keras builds a layer in each model that it was in. Those with weights stay: the checkpoint
    has no weights for a second one.
    """
    owners = {part for r in expected.tensors.values() for part in around(r.layer)}
    places = layer_places(reading.architecture() or {}, owners)
    return _without_copies(expected, first_places(expected.layers, places))


def _without_copies(table: Table, places: Mapping[str, str]) -> Table:
    """The table without second ones of layers, and their tensors."""
    if not places:
        return table
    return replace(
        table,
        tensors={k: r for k, r in table.tensors.items() if not is_inside(r.layer, places)},
        layers=layers_without_copies(table.layers, places),
        ends=ends_without_copies(table.ends, places),
    )


def _first(layer: str, places: Mapping[str, str]) -> str:
    """Where a layer, or what it is in, comes first."""
    found = next((path for path in around(layer) if path in places), "")
    return f"{places[found]}{layer[len(found) :]}" if found else layer


def channels_first(
    stored: Table,
    given: Iterable[Step | Finding],
    reading: Reading,
    custom_objects: Mapping[str, Any],
) -> Mapping[str, bool | None] | bool | None:
    """Whether what the writer flattened had its channels first: by stored tensor, or all of it.

    Weights alone tell it by kernels with the outputs first, as Keras 1 had them with channels
    first; it flattened tensors as they were. None where nothing tells it.
    """
    config = reading.architecture()
    if not config:
        return any(isinstance(step, Step) and outputs_first(step) for step in given)
    told = [(k, c.get("data_format", c.get("dim_ordering"))) for k, c in stored_configs(config)]
    if not {"channels_first", "th"} & {order for _, order in told}:
        return False
    model = stored_layer(config, reading.config_writer(), custom_objects)
    if not model:
        moved = {order == "channels_first" for kind, order in told if kind == "Flatten"}
        return None if len(moved) > 1 else True not in moved
    from kerasguard.models import axis_orders, live_model, walk

    rows = axis_orders.rows_of(model, list(walk.walk(model)))
    table = live_model.model_table(model, optimizer=False)
    theirs = _fed(restore_table(stored, table, config, reading.writer()), table)
    return {
        source: rows[key].first if rows[key].known else None
        for source, layer in theirs.items()
        if (key := owner(layer, rows))
    }


def _fed(steps: Iterable[Step | Finding], table: Table) -> dict[str, str]:
    """Of each stored tensor that one layer alone gets, the layer."""
    found: dict[str, set[str]] = {}
    for step in steps:
        if isinstance(step, Step) and table.tensors[step.target].role == "weight":
            for source in step.sources:
                found.setdefault(source, set()).add(table.tensors[step.target].layer)
    return {source: min(layers) for source, layers in found.items() if len(layers) == 1}


def unadapted(
    expected: Table, stored: Table, reading: Reading, visits: Sequence[Any]
) -> tuple[Table, Table]:
    """Both tables with digests of configs without what is put back: vocabularies, boundaries.

    Args:
        expected: of the model.
        stored: of the checkpoint.
        reading: of the checkpoint, which has its configs.
        visits: of the model.
    """
    from kerasguard.models import live_graph

    mine, other = dict(expected.layers), dict(stored.layers)
    adapted = _adapted(stored, reading) & mine.keys()
    adapted = {k for k in adapted if k in other and other[k].config_digest}
    if not adapted:
        return expected, stored
    told = (
        None if is_older(reading, visits[0].object if visits else None) else reading.architecture()
    )
    configs = {k: (cls, config) for k, cls, config in layer_configs(told or {})}
    live = {visit.path: visit.object for visit in visits}
    for key in adapted:
        ours = theirs = ""  # nothing can be compared
        if key in configs and key in live:
            cls, config = configs[key]
            theirs = config_digest(cls, {k: v for k, v in config.items() if k not in _PUT_BACK})
            ours = live_graph.layer_digest(live[key], {}, _PUT_BACK)
        mine[key] = replace(mine[key], config_digest=ours)
        other[key] = replace(other[key], config_digest=theirs)
    return replace(expected, layers=mine), replace(stored, layers=other)


def _adapted(stored: Table, reading: Reading) -> set[str]:
    """Keys under which the checkpoint has states or files."""
    found = {r.layer for r in stored.tensors.values() if r.role == "state"}
    for path in reading.assets():
        parts = path.split("/")
        found |= {"/".join(parts[:n]) for n in range(1, len(parts))}
    return found
