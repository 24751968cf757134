"""KG436: masks where branches are merged.

What it looks like: Add, Multiply, Average, ... of a tensor with a mask (behind an Embedding with
`mask_zero` or a Masking layer) and one without, or with another mask; and behind it a layer that
uses masks. Nothing fails: the model loads but predicts differently.

Why it happens: Keras 2 marked a step of a merge as valid where all inputs with a mask are valid.
Keras 3 drops the mask if any input has none, and otherwise marks a step as valid where any input
is; so does Concatenate.

Source: Keras 2 and Keras 3 `layers/merging/base_merge.py` and `concatenate.py`, `compute_mask`.

When it is exact: where the old mask follows from the model's inputs by Embedding and Masking
layers: it is computed by operations and given to the layers that use it. Otherwise (through nested
    models, or after Concatenate along the time axis) a warning says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.nodes import (
    History,
    call_of,
    calls_of,
    history_of,
    layers_of,
    tensor,
)
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG436": "branches with different masks are merged"}

_MERGES = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"}
_KEEP = {
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "LayerNormalization",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Softmax",
    "SpatialDropout1D",
    "ThresholdedReLU",
    "TimeDistributed",
    "UnitNormalization",
}
_RECURRENT = {"Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "GRU", "LSTM", "RNN", "SimpleRNN"}
_ATTENTION = {"AdditiveAttention", "Attention"}
_POOLED = {"GlobalAveragePooling1D", "MultiHeadAttention", "TimeDistributed"}
_USERS = _RECURRENT | _ATTENTION | _POOLED

_OPAQUE = ""
_MOST = 50  # sources of a mask; a chain of thousands of merges has all of them at every place

# What a mask is made of: the tensors (with the class that masks them) that must all be valid.
Mask = frozenset[tuple[History, str]]


@dataclass
class _Masks:
    """The masks of one graph's tensors in Keras 2 and in Keras 3, as far as they can be told."""

    edits: Edits
    layers: dict[str, Json]
    old: dict[History, Mask] = field(default_factory=dict)
    new: dict[History, Mask] = field(default_factory=dict)
    made: dict[Any, Json] = field(default_factory=dict)


def rewrite(blueprint: Blueprint) -> None:
    """Give the old mask to every layer that would get another."""
    for _, model in blueprint.graphs():
        by_name = {name_of(layer): layer for layer in reversed(layers_of(model))}
        masks = _Masks(Edits(model), by_name)
        # In the order of the graph's depth, in which Keras writes layers.
        for layer in list(layers_of(model)):
            for number, call in enumerate(calls_of(layer)):
                _follow(masks, layer, number, call)
                if _differs(masks, call):
                    _give(blueprint, masks, layer, call)


def _follow(masks: _Masks, layer: Json, number: int, call: Json) -> None:
    """The mask that a call's result has."""
    kind, config, place = class_of(layer), config_of(layer), (name_of(layer), number, 0)
    inputs = _inputs(call)
    if kind == "Masking" or (kind == "Embedding" and config.get("mask_zero")):
        if inputs:
            masks.old[place] = masks.new[place] = frozenset({(inputs[0], name_of(layer))})
    elif kind in _MERGES or (kind == "Concatenate" and config.get("axis", -1) in (-1, 2)):
        _merge(masks, place, inputs)
    elif kind == "Concatenate" and any(x in masks.old for x in inputs):
        masks.old[place] = masks.new[place] = frozenset({(place, _OPAQUE)})
    elif _passes(kind, config) and inputs:
        for table in (masks.old, masks.new):
            if inputs[0] in table:
                table[place] = table[inputs[0]]


def _merge(masks: _Masks, place: History, inputs: list[History]) -> None:
    """Keras 2 masked a step that any input masks; Keras 3 only where all have one and the same."""
    old = [masks.old[x] for x in inputs if x in masks.old]
    new = {masks.new.get(x) for x in inputs}
    if old:
        joined = frozenset().union(*old)
        masks.old[place] = joined if len(joined) <= _MOST else frozenset({(place, _OPAQUE)})
    if len(new) == 1 and None not in new:
        masks.new[place] = new.pop() or frozenset()


def _passes(kind: str, config: Json) -> bool:
    inner = config_of(config["layer"]) if kind == "Bidirectional" else config
    if kind in _RECURRENT:
        return bool(inner.get("return_sequences"))
    return kind in _KEEP or kind in _ATTENTION or kind == "MultiHeadAttention"


def _inputs(call: Json) -> list[History]:
    """The tensors of a call that carry masks: its positional arguments."""
    first = call["args"][0] if call["args"] else None
    values = first if isinstance(first, list) else [first]
    return [history for history in map(history_of, values) if history is not None]


def _differs(masks: _Masks, call: Json) -> bool:
    tensors = [*_inputs(call), *filter(None, map(history_of, call["kwargs"].values()))]
    return any(masks.old.get(x) != masks.new.get(x) for x in tensors)


def _give(blueprint: Blueprint, masks: _Masks, layer: Json, call: Json) -> None:
    """Make the old mask an argument of the call."""
    kind, inputs, kwargs = class_of(layer), _inputs(call), call["kwargs"]
    opaque = any(owner == _OPAQUE for x in inputs for _, owner in masks.old.get(x, ()))
    if (kind in _USERS and opaque) or "layers" in config_of(layer):
        blueprint.warn(layer, "its input had a different mask in Keras 2, which is lost here")
        return
    if kind in _ATTENTION:
        kwargs["mask"] = [_tensor(masks, masks.old.get(x)) for x in inputs[:2]]
    elif kind == "MultiHeadAttention":
        kwargs["query_mask"] = _tensor(masks, masks.old.get(inputs[0]))
        for name in ("value", "key"):
            history = history_of(kwargs.get(name))
            if history is not None:
                kwargs[f"{name}_mask"] = _tensor(masks, masks.old.get(history))
    elif kind in _USERS:
        kwargs["mask"] = _tensor(masks, masks.old.get(inputs[0]))
    else:
        return
    blueprint.note(layer, "it gets the mask that Keras 2 computed for merged branches")


def _tensor(masks: _Masks, mask: Mask | None) -> Json | None:
    """The mask as a tensor of the graph, computed once."""
    if not mask:
        return None
    if mask not in masks.made:
        first, *rest = [_single(masks, *part) for part in sorted(mask)]
        for other in rest:
            first = _operation(masks, "LogicalAnd", {}, first, other)
        masks.made[mask] = first
    return masks.made[mask]


def _single(masks: _Masks, source: History, owner: str) -> Json:
    """Where one Embedding or Masking layer finds its input valid."""
    if (source, owner) not in masks.made:
        layer = masks.layers[owner]
        masking = class_of(layer) == "Masking"
        value = config_of(layer).get("mask_value", 0.0) if masking else 0
        found = _operation(masks, "NotEqual", {}, tensor(*source), value)
        if masking:
            found = _operation(masks, "Any", {"axis": -1}, found)
        masks.made[source, owner] = found
    return masks.made[source, owner]


def _operation(masks: _Masks, class_name: str, options: Json, *arguments: Any) -> Json:
    """Add an operation to the graph; the tensor that it makes."""
    name = masks.edits.free_name(f"mask_{class_name.lower()}")
    item = keras_object("keras.src.ops.numpy", class_name, {"name": name, **options})
    item |= {"registered_name": class_name, "name": name, "inbound_nodes": [call_of(*arguments)]}
    masks.edits.add(item)
    return tensor(name)


MIGRATION = Migration(
    "KG436", "Keras 1 and 2", lambda w: w.before_keras3, rewrite, words=("Masking", "mask_zero")
)
