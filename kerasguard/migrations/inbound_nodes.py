"""KG406: the calls of a functional graph in the form of Keras 1 and 2.

What it looks like: `"inbound_nodes": [[["dense", 0, 0, {}]]]`; tensors among the keyword
arguments as bare `["dense", 0, 0]`; calls of a nested model counted from 1; a single input or
output in a list of its own.

Why it happens: Keras 3 writes `{"args": [...], "kwargs": {...}}`. It still reads the old lists,
but takes tensors in keyword arguments for lists of strings and numbers (MultiHeadAttention's
`value`), and counts calls of nested models from 0, where Keras 2 counted the model's own creation
first: `The graph of the Functional model either has loops or disconnected nodes`.

Source: tf.keras `engine/functional.py`, `_should_skip_first_node`, `process_node`; Keras 3
`models/functional.py`, `deserialize_node`, `get_tensor`.

When it is exact: always. Whether calls of a nested model start at 0 or 1 follows from the highest
call that is referred to and the number of calls listed.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.nodes import (
    History,
    call_of,
    calls_of,
    is_graph,
    layers_of,
    map_histories,
    tensor,
    tensors_in,
)
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.blueprint.writer import Writer

CODES = {"KG406": "a graph's calls are written in the form of Keras 1 or 2"}

_CONSTANT = "_CONSTANT_VALUE"
# Their first argument stays a list even when it holds a single tensor.
_KEEP_LISTS = {"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod"}
_UNSET = ("constants", "initial_state", "mask", "training")


def rewrite(blueprint: Blueprint) -> None:
    """Rewrite every graph; the innermost last, each by itself."""
    if not blueprint.writer.before_keras3:
        _single_ends_in_a_row(blueprint)
        return
    for item, model in blueprint.graphs():
        names = {name_of(layer) for layer in layers_of(model)}
        old = False
        for layer in layers_of(model):
            layer.setdefault("name", name_of(layer))
            calls = calls_of(layer)
            old = old or any(not _is_modern(call) for call in calls)
            layer["inbound_nodes"] = [_call(layer, call, names) for call in calls]
        offsets = _offsets(model)
        for layer in layers_of(model) if any(offsets.values()) else ():
            layer["inbound_nodes"] = [_shift(call, offsets) for call in calls_of(layer)]
        for key in ("input_layers", "output_layers"):
            model[key] = _ends(model[key], offsets, _functional_names(model))
        if old:
            blueprint.note(item, "its calls were written in the form of Keras 1 and 2")


def _single_ends_in_a_row(blueprint: Blueprint) -> None:
    """A functional model in a Sequential takes and gives one tensor, not a list of one.

    HDF5 files of Keras 3 have such lists; Keras 3.15 makes a list of the output's shape of them.
    """
    for _, model in blueprint.models():
        for layer in () if is_graph(model) else layers_of(model):
            config = config_of(layer)
            for key in ("input_layers", "output_layers") if is_graph(config) else ():
                ends = config[key]
                if isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list):
                    config[key] = ends[0]
                    blueprint.note(layer, "its single input or output was wrapped in a list")


def _is_modern(call: Any) -> bool:
    return isinstance(call, dict) and set(call) == {"args", "kwargs"}


def _call(layer: Json, call: Any, names: set[str]) -> Json:
    """One call in Keras 3's form."""
    if _is_modern(call):
        return {**call}
    kwargs: Json = {}
    if _is_entry(call):
        return _with_kwargs(_entry(call, kwargs, names), kwargs)
    value = _nested(call, kwargs, names)
    single = isinstance(value, list) and len(value) == 1
    if single and class_of(layer) not in _KEEP_LISTS:
        value = value[0]
    return _with_kwargs(value, kwargs)


def _with_kwargs(first: Any, kwargs: Json) -> Json:
    told = {k: v for k, v in kwargs.items() if not (k in _UNSET and v is None)}
    return call_of(first, **told)


def _is_entry(value: Any) -> bool:
    """`["dense", 0, 0]` or `["dense", 0, 0, {...}]`."""
    return (
        isinstance(value, (list, tuple))
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def _entry(entry: Any, kwargs: Json, names: set[str]) -> Any:
    """One positional argument; its keyword arguments are collected."""
    if len(entry) == 4 and isinstance(entry[3], dict):
        kwargs.update({key: _tensors(value, names) for key, value in entry[3].items()})
    return entry[2] if entry[0] == _CONSTANT else tensor(*entry[:3])


def _nested(value: Any, kwargs: Json, names: set[str]) -> Any:
    if _is_entry(value):
        return _entry(value, kwargs, names)
    if isinstance(value, dict):
        return {key: _nested(item, kwargs, names) for key, item in value.items()}
    return [_nested(item, kwargs, names) for item in value]


def _tensors(value: Any, names: set[str]) -> Any:
    """A keyword argument in which references to layers are tensors."""
    if _is_entry(value) and len(value) == 3 and value[0] in names | {_CONSTANT}:
        return _entry(value, {}, names)
    if isinstance(value, dict):
        return {key: _tensors(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_tensors(item, names) for item in value]
    return value


def _offsets(model: Json) -> dict[str, int]:
    """By nested model: the number that its first call has."""
    highest: dict[str, int] = {}
    for layer in layers_of(model):
        for name, call, _ in tensors_in(calls_of(layer)):
            highest[name] = max(highest.get(name, 0), call)
    for name, call, _ in _entries(model["output_layers"]):
        highest[name] = max(highest.get(name, 0), call)
    return {
        name_of(layer): max(0, highest.get(name_of(layer), 0) + 1 - len(calls_of(layer)))
        for layer in layers_of(model)
        if "layers" in config_of(layer) and calls_of(layer)
    }


def _shift(call: Json, offsets: dict[str, int]) -> Any:
    def earlier(history: History) -> History:
        name, number, output = history
        return name, number - offsets.get(name, 0), output

    return map_histories(call, earlier)


def _entries(value: Any) -> list[History]:
    if _is_entry(value):
        return [(value[0], value[1], value[2])]
    items = value.values() if isinstance(value, dict) else value or ()
    return [entry for item in items for entry in _entries(item)]


def _functional_names(model: Json) -> set[str]:
    """Nested functional models: Keras 3 counts their creation, but in `output_layers` only."""
    return {name_of(x) for x in layers_of(model) if "input_layers" in config_of(x)}


def _ends(value: Any, offsets: dict[str, int], functional: set[str]) -> Any:
    """The inputs or outputs of a model; a single one stands alone."""

    def place(part: Any) -> Any:
        if _is_entry(part):
            name, call, output = part[:3]
            return [name, call - offsets.get(name, 0) + (name in functional), output]
        if isinstance(part, dict):
            return {key: place(item) for key, item in part.items()}
        return [place(item) for item in part]

    placed = place(value)
    if isinstance(placed, list) and len(placed) == 1 and isinstance(placed[0], list):
        return placed[0]
    return placed


def _applies(writer: Writer) -> bool:
    return writer.before_keras3 or writer.config == "legacy"


MIGRATION = Migration("KG406", "Keras 1 and 2, HDF5 of Keras 3", _applies, rewrite)
