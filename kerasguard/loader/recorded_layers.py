"""What was recorded of layers that code of the user's own holds, where the file has other keys.

An `.h5` has one group for each layer of the model, by its name, and no word of what is in it. The
manifest tells of all layers by the path at which the saved model held them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kerasguard.identity.counterparts import enclosing
from kerasguard.identity.pairing import Pairing
from kerasguard.identity.reduced import around, reduced, without_tail
from kerasguard.loader.reading import Reading
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding
from kerasguard.planning.left_out import LeftOut
from kerasguard.planning.operations import Step
from kerasguard.rules.reconfigured import reconfigured
from kerasguard.rules.rewired import rewired
from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["computed_otherwise", "recorded_layers", "unlike_recorded"]


def recorded_layers(reading: Reading) -> dict[str, LayerRecord]:
    """Records by the path in the saved model; none where the manifest has the file's keys alone."""
    if reading.manifest is None:
        return {}
    ours = {path for r in reading.manifest.table.tensors.values() for path in around(r.layer)}
    layers = reading.manifest.table.layers
    return {k: r for k, r in layers.items() if k not in ours and r.use is not None}


def unlike_recorded(
    expected: Table,
    stored: Table,
    given: Iterable[Step | Finding],
    reading: Reading,
    target: Any,
    out: LeftOut,
) -> Iterator[Finding]:
    """What the caller's model computes otherwise than the one that was recorded.

    Args:
        expected: of the caller's model.
        stored: of the file, without what its companion holds.
        given: the steps that restore it.
        reading: of the checkpoint, whose manifest has records by path.
        target: the caller's model, surveyed.
        out: what the caller leaves out.
    """
    layers = recorded_layers(reading)
    pairs = _pairs(given, expected, stored, layers, _listed(target))
    tensors = dict(_moved(expected, pairs))
    left = {r.key for key, r in tensors.items() if key in out.keys}
    ends = dict(reading.manifest.table.ends) if reading.manifest else {}
    table = Table.of(tensors.values(), layers=layers, ends=ends)
    parts = reduced(expected, out.keys), reduced(table, left)
    expected, table = without_tail(parts, (expected, table))
    own = {r.layer for r in expected.tensors.values() if r.role == "weight"}
    inside = {e: _at(e, pairs) for e in own}
    pairs |= {e: s for e, s in inside.items() if s in layers}
    yield from computed_otherwise(expected, table, pairs)


def computed_otherwise(
    expected: Table, table: Table, pairs: Mapping[str, str]
) -> Iterator[Finding]:
    """What one model computes otherwise than another, of which both tables tell.

    Args:
        expected: of the one.
        table: of the other.
        pairs: layers of the other by those of the one that hold weights.
    """
    layers = {**pairs, **enclosing(expected, table, pairs)}
    draft = Draft(expected, table, None, Pairing(layers=layers), {})
    yield from reconfigured(draft)
    yield from rewired(draft)


def _listed(target: Any) -> set[str]:
    """Paths of those layers that Keras lists, and has a group for."""
    listed = {id(layer) for layer in target.model.layers}
    return {visit.path for visit in target.visits if id(visit.object) in listed}


def _pairs(
    given: Iterable[Step | Finding],
    expected: Table,
    stored: Table,
    layers: Mapping[str, LayerRecord],
    listed: set[str],
) -> dict[str, str]:
    """Recorded layer by expected one, of those that Keras lists and that have weights."""
    places: dict[str, list[str]] = {}
    for key, layer in sorted(layers.items(), key=lambda item: item[0].count("/")):
        places.setdefault(layer.name, []).append(key)
    found: dict[str, set[str]] = {}
    for step in given:
        if not isinstance(step, Step) or expected.tensors[step.target].role != "weight":
            continue
        whole = next((p for p in around(expected.tensors[step.target].layer) if p in listed), "")
        for source in step.sources if whole else ():
            group = stored.layers.get(stored.tensors[source].layer)
            found.setdefault(whole, set()).update(places.get(group.name if group else "", [])[:1])
    return {e: min(paths) for e, paths in found.items() if len(paths) == 1}


def _at(layer: str, pairs: Mapping[str, str]) -> str:
    """Where the saved model had what the caller's has here; empty where that is not known."""
    whole = next((path for path in around(layer) if path in pairs), None)
    return "" if whole is None else f"{pairs[whole]}{layer[len(whole) :]}"


def _moved(expected: Table, pairs: Mapping[str, str]) -> Iterator[tuple[str, TensorRecord]]:
    """By expected key, each weight at the place in which the saved model had it."""
    for key, record in expected.tensors.items():
        layer = _at(record.layer, pairs)
        if layer and record.role == "weight":
            moved = f"{layer}{key.removeprefix(record.layer)}"
            yield key, replace(record, key=moved, layer=layer)
