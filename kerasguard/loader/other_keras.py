"""What a file says of its layers, where the caller's model is one of tf_keras.

For a model of Keras 3 the stored layers are made and compared with the caller's. No layer of
tf_keras is made of what a file says: the stored configs are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kerasguard.identity.pairing import Pairing
from kerasguard.layouts.origin import layer_configs
from kerasguard.loader.reading import Reading
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding
from kerasguard.planning.operations import Step
from kerasguard.rules.reconfigured import reconfigured
from kerasguard.tensors import LayerRecord, Table

__all__ = ["digested_like", "is_other", "unlike_saved"]

Config = tuple[str, Mapping[str, Any]]
"""A layer's class and config as stored."""


def is_other(model: Any) -> bool:
    """Whether the model belongs to another Keras than the one that configs are migrated to."""
    from kerasguard.models.kerases import KERAS3, of

    return of(model) is not KERAS3


def digested_like(
    layers: Mapping[str, LayerRecord], configs: Mapping[str, Config], live: Mapping[str, Any]
) -> dict[str, LayerRecord]:
    """The stored layers with digests that are the live layers' where the configs agree.

    Args:
        layers: stored, by key.
        configs: of these; a layer without one, or without a live one, gets no digest.
        live: the caller's layers by the keys of the stored ones.
    """
    from kerasguard.models.other_configs import digest_like

    return {
        key: replace(
            layer,
            config_digest=digest_like(live[key], *configs[key])
            if key in configs and key in live
            else "",
        )
        for key, layer in layers.items()
    }


def unlike_saved(
    expected: Table,
    stored: Table,
    given: Iterable[Step | Finding],
    reading: Reading,
    visits: Iterable[Any],
) -> Iterator[Finding]:
    """What the caller's model computes otherwise than the one in a file with layers by name.

    Args:
        expected: of the caller's model.
        stored: of the file, without what its companion holds.
        given: the steps that restore it, which tell the layer that gets a stored layer's tensors.
        reading: of the checkpoint.
        visits: of the caller's model.
    """
    fed: dict[str, set[str]] = {}
    for step in given:
        if isinstance(step, Step) and expected.tensors[step.target].role == "weight":
            layers_of = fed.setdefault(stored.tensors[step.sources[0]].layer, set())
            layers_of.add(expected.tensors[step.target].layer)
    pairs = {key: min(some) for key, some in fed.items() if len(some) == 1}
    named: dict[str, list[Config]] = {}
    for cls, config in layer_configs(reading.architecture() or {}):
        named.setdefault(str(config.get("name")), []).append((cls, config))
    alone = {name: some[0] for name, some in named.items() if len(some) == 1}
    objects = {visit.path: visit.object for visit in visits}
    layers = {key: r for key, r in stored.layers.items() if key in pairs}
    told = digested_like(
        layers,
        {key: alone[r.name] for key, r in layers.items() if r.name in alone},
        {key: objects[pairs[key]] for key in layers if pairs[key] in objects},
    )
    draft = Draft(
        expected, Table({}, told), None, Pairing(layers={e: s for s, e in pairs.items()}), {}
    )
    yield from reconfigured(draft)
