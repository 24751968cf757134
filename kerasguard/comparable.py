"""What can be compared of the configs that a checkpoint tells, and the model's.

Configs of another Keras are spelled otherwise, and what `adapt` found is in some configs and put
back all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kerasguard.architecture import config_digest, graph_ends, layer_configs, layer_records
from kerasguard.errors import ArchitectureError
from kerasguard.findings import Severity
from kerasguard.migrations import migrate
from kerasguard.reading import Reading
from kerasguard.tensors import Ends, LayerRecord, Table

__all__ = ["ADDRESSED", "is_older", "stored_ends", "stored_layer", "unadapted"]

ADDRESSED = ("keras_zip", "keras_directory", "weights_h5", "sharded_h5")
"""Formats that keep every layer under a key of its own, and their configs in today's form."""

# Entries of a layer's config that are assets or states where `adapt` found them.
_PUT_BACK = frozenset({"vocabulary", "idf_weights", "bin_boundaries"})


def is_older(reading: Reading) -> bool:
    """Whether another version of Keras wrote a file whose layers are spelled out."""
    from kerasguard.integrations import keras_environment

    before = reading.writer().get("keras")
    ours = keras_environment.versions()["keras"]
    return reading.checkpoint.name in ADDRESSED and before not in (None, ours)


def stored_layer(
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


def stored_ends(layers: Mapping[str, LayerRecord], reading: Reading) -> dict[str, Ends]:
    """Inputs and outputs of the models in the stored architecture, where `layers` are its."""
    told = reading.architecture()
    found = graph_ends(told) if told and layer_records(told) else {}
    return {
        model: ends
        for model, ends in found.items()
        if all(key in layers for tensors in ends for key, _, _ in tensors)
    }


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
    from kerasguard.integrations import keras_graph

    mine, other = dict(expected.layers), dict(stored.layers)
    adapted = _adapted(stored, reading) & mine.keys()
    adapted = {k for k in adapted if k in other and other[k].config_digest}
    if not adapted:
        return expected, stored
    told = None if is_older(reading) else reading.architecture()
    configs = {k: (cls, config) for k, cls, config in layer_configs(told or {})}
    live = {visit.path: visit.object for visit in visits}
    for key in adapted:
        ours = theirs = ""  # nothing can be compared
        if key in configs and key in live:
            cls, config = configs[key]
            theirs = config_digest(cls, {k: v for k, v in config.items() if k not in _PUT_BACK})
            ours = keras_graph.layer_digest(live[key], {}, _PUT_BACK)
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
