"""KG429: a layer with the same name as an operation of its own mask.

What it looks like: a graph with masks (Embedding with `mask_zero`, Masking) and a layer named
`concatenate`: `The name "concatenate" is used 2 times in the model`.

Why it happens: Keras 3 computes masks with operations that are part of the graph, and names them
as it names layers. In the model that the writer built the two names differed; a layer that is
rebuilt under its old name takes one that Keras gives to an operation later.

Source: Keras 3 `layers/merging/concatenate.py`, `compute_mask`; `models/functional.py`.

When it is exact: always. The layer has no weights, and calls use the new name.
"""

from __future__ import annotations

import re

from kerasguard.blueprint.nodes import History, calls_of, layers_of, map_histories
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of, replace_all
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG429": "a layer has the same name as an operation that computes its mask"}


def rewrite(blueprint: Blueprint) -> None:
    """Rename such layers where there are masks."""
    masked = any(
        class_of(layer) == "Masking" or config_of(layer).get("mask_zero")
        for layer in blueprint.layers("Embedding", "Masking")
    )
    for _, model in blueprint.graphs() if masked else ():
        renamed = {
            name_of(layer): f"{name_of(layer)}_layer"
            for layer in layers_of(model)
            if class_of(layer) == "Concatenate"
            and re.fullmatch(r"concatenate(_\d+)?", name_of(layer))
        }
        _rename(model, renamed)
        for old, new in renamed.items():
            blueprint.note(new, f"was called {old}, which Keras 3 calls an operation of its mask")


def _rename(model: Json, renamed: dict[str, str]) -> None:
    def history(old: History) -> History:
        return (renamed.get(old[0], old[0]), *old[1:])

    def end(part: object) -> object:
        if isinstance(part, list) and len(part) == 3 and isinstance(part[0], str):
            return [renamed.get(part[0], part[0]), *part[1:]]
        return part

    for layer in layers_of(model):
        if name_of(layer) in renamed:
            layer["name"] = config_of(layer)["name"] = renamed[name_of(layer)]
        layer["inbound_nodes"] = [map_histories(call, history) for call in calls_of(layer)]
    model["output_layers"] = replace_all(model["output_layers"], end)


MIGRATION = Migration(
    "KG429", "Keras 1 and 2", lambda w: w.before_keras3, rewrite, words=("Embedding", "Masking")
)
