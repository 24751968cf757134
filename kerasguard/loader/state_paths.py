"""The state tree of a Keras 3 model under the keys of the model's walk, before all else.

A manifest has it under these already. Where nobody recorded it, a model that is made from the
stored config tells which path is which key.
"""

from __future__ import annotations

from dataclasses import replace

from kerasguard.layouts import as_walked
from kerasguard.loader.prepared import Prepared
from kerasguard.loader.reading import Reading
from kerasguard.loader.stored_configs import stored_layer
from kerasguard.tensors import Table

__all__ = ["walked"]


def walked(stored: Table, expected: Table, prepared: Prepared, reading: Reading) -> Table:
    """The stored table under other keys; as it is where it has them or nothing tells them.

    Args:
        stored: of the checkpoint.
        expected: of the model to restore into.
        prepared: that model.
        reading: of the checkpoint; it knows the tensors by their new keys afterwards.
    """
    from kerasguard.models import live_model, variable_paths

    config, target = reading.architecture(), prepared.target
    if reading.traits.keys != "paths" or stored.addressing == "key" or config is None:
        return stored
    if prepared.built is not None:
        paths = variable_paths.by_path(target.model, target.visits, target.places.values())
        layers = expected.layers
    else:
        model = stored_layer(config, reading.config_writer(), prepared.custom_objects)
        if model is None:
            return stored
        live = live_model.LiveModel.of(model)
        paths, layers = variable_paths.by_path(model, live.visits, live.places), live.table.layers
    found = as_walked(stored, paths, same=False)
    if found is None:
        return stored
    reading.call(found)
    mine = {key: layer for key, layer in layers.items() if key != "optimizer"}
    other = {key: layer for key, layer in stored.layers.items() if key == "optimizer"}
    return replace(found, layers={**mine, **other})
