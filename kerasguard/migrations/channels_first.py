"""KG432: layers with channels first.

What it looks like: `"data_format": "channels_first"` (Keras 1: `"dim_ordering": "th"`): `The
Conv2D op currently only supports the NHWC tensor format on the CPU`.

Why it happens: models made for Theano or for fast training on old GPUs. TensorFlow computes
convolutions with channels first on GPUs only.

Source: TensorFlow `core/kernels/conv_ops.cc`; Keras 2 `layers/core/flatten.py`.

When it is exact: always, because kernels have the same layout either way. Layers with a
`data_format` get channels last, as do the layers between them that work element by element; Permute
layers are inserted where a tensor enters or leaves such a part. Inputs and outputs of the model,
and what a Flatten or Dense layer sees, keep the writer's order. Layers whose weights follow the
order of the axes (PReLU, LayerNormalization) are left where they are, between two Permutes. A
Bidirectional layer joined both directions along the last axis, which was none of the channels: a
Concatenate does that now. Where no input shape is known, or inside other wrappers than these two,
it is refused.
"""

from __future__ import annotations

import re
from typing import Any

from kerasguard.blueprint.axis_order import Layout, Moved
from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.graphs import as_graph
from kerasguard.blueprint.nodes import (
    call_of,
    calls_of,
    history_of,
    layers_of,
    tensor,
    tensors_in,
)
from kerasguard.blueprint.objects import (
    Json,
    class_of,
    config_of,
    keras_object,
    name_of,
    replace_all,
)
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG432": "a layer uses channels_first"}

_ELEMENTWISE = {
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "LeakyReLU",
    "ReLU",
    "ThresholdedReLU",
}
_MERGES = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"}
_CHANNELWISE = {"BatchNormalization", "GroupNormalization", "Softmax"}
# Paddings, croppings and upsampling are computed everywhere.
_ON_GPUS = re.compile(
    r"((Depthwise|Separable)?Conv|ConvLSTM|(Average|Max)Pooling)[123]D(Transpose)?"
)
# Their kernels follow the order of the axes; the migration of these layers asks for it.
_ORDERED = {"LocallyConnected1D", "LocallyConnected2D"}


def rewrite(blueprint: Blueprint) -> None:
    """Turn every model that has such layers."""
    for item, model in blueprint.models():
        spatial = [layer for layer in layers_of(model) if _layout(layer) is not None]
        if not spatial:
            continue
        if not as_graph(item):
            continue
        _join_apart(model, [x for x in spatial if class_of(x) == "Bidirectional"])
        _turn_model(model)
        for layer in spatial:
            for wrapped in _wrapped(layer):
                config_of(wrapped)["data_format"] = "channels_last"
            if class_of(layer) in _ORDERED:
                config_of(layer)["patch_order"] = "channels_first"
            blueprint.note(layer, "converted from channels_first to channels_last")
    _refuse_the_rest(blueprint)


def _refuse_the_rest(blueprint: Blueprint) -> None:
    """What is left in models of unknown input shape, and inside other wrappers."""
    for layer in blueprint.layers():
        left = config_of(layer).get("data_format") == "channels_first"
        if left and _ON_GPUS.fullmatch(class_of(layer)) and not blueprint.is_refused(layer):
            blueprint.refuse(
                layer,
                "uses channels_first, which TensorFlow runs on GPUs only, and cannot be converted: "
                "the file gives no input shape here, or no calls to convert; build the model with "
                "channels_last and load the weights into it: kerasguard.load(path, model=model)",
            )


def _turn_model(model: Json) -> None:
    """Visit every call when its inputs are known."""
    moved = Moved(model)
    calls = [(x, n) for x in layers_of(model) for n in range(len(calls_of(x)))]
    made = {name_of(x) for x in layers_of(model) if not calls_of(x)}
    open_inputs: dict[int, int] = {}
    waiting: dict[tuple[str, int], list[int]] = {}
    for place, (layer, number) in enumerate(calls):
        needed = {(name, n) for name, n, _ in tensors_in(calls_of(layer)[number])}
        needed = {source for source in needed if source[0] not in made}
        open_inputs[place] = len(needed)
        for source in needed:
            waiting.setdefault(source, []).append(place)
    ready = [place for place, count in open_inputs.items() if not count]
    while ready:
        following: list[int] = []
        for place in ready:
            layer, number = calls[place]
            _turn_call(moved, layer, number)
            for other in waiting.pop((name_of(layer), number), ()):
                open_inputs[other] -= 1
                if not open_inputs[other]:
                    following.append(other)
        ready = sorted(following)
    functional = {name_of(x) for x in layers_of(model) if "input_layers" in config_of(x)}
    model["output_layers"] = moved.ends(model["output_layers"], lambda name: name in functional)


def _turn_call(moved: Moved, layer: Json, number: int) -> None:
    call, kind = calls_of(layer)[number], class_of(layer)
    value = call["args"][0] if call["args"] else None
    own, out = _layout(layer), None
    if own is not None:
        call["args"][0] = moved.last(value, own)
        states = call["kwargs"].pop("initial_state", None)
        call["kwargs"] = moved.first(call["kwargs"])
        if states is not None:
            state = _state(own)
            call["kwargs"]["initial_state"] = replace_all(states, lambda x: moved.last(x, state))
        for place, made in enumerate(_outputs(layer, own)):
            if made is not None:
                moved.layouts[name_of(layer), number, place] = made
        return
    if kind == "Flatten" and _is_first(layer) and moved.layout(value) is not None:
        # With channels first it moved them to the end before it flattened.
        config_of(layer)["data_format"] = "channels_last"
    elif len(calls_of(layer)) == 1 and _stays(moved, layer, value):
        out = moved.layout(value[0] if isinstance(value, list) else value)
        _move_axis(config_of(layer), out)
    else:
        call["args"] = moved.first(call["args"])
    call["kwargs"] = moved.first(call["kwargs"])
    if out is not None:
        moved.layouts[name_of(layer), number, 0] = out


def _is_first(layer: Json) -> bool:
    """Whether a layer that is called once has channels first."""
    single = len(calls_of(layer)) == 1
    return single and config_of(layer).get("data_format") == "channels_first"


def _stays(moved: Moved, layer: Json, value: Any) -> bool:
    """Whether a layer computes the same on tensors whose channels were moved."""
    kind, config = class_of(layer), config_of(layer)
    if isinstance(value, list):
        layouts = {moved.layout(item) for item in value}
        return kind in _MERGES | {"Concatenate"} and len(layouts) == 1 and None not in layouts
    if moved.layout(value) is None:
        return False
    if kind == "Activation":
        return config.get("activation") not in ("softmax", "log_softmax", "softmax_v2")
    if kind == "Dropout":
        return config.get("noise_shape") is None
    return kind in _ELEMENTWISE or (
        kind in _CHANNELWISE and isinstance(config.get("axis", -1), int)
    )


def _move_axis(config: Json, layout: Layout | None) -> None:
    if layout is not None and isinstance(config.get("axis"), int):
        config["axis"] = layout.moved(config["axis"])


def _join_apart(model: Json, layers: list[Json]) -> None:
    """Let a Concatenate join the directions, along the axis that the layers joined them along."""
    joining = [x for x in layers if config_of(x).get("merge_mode", "concat") == "concat"]
    if not joining:
        return
    edits = Edits(model)
    for layer in joining:
        name = name_of(layer)
        joined = edits.free_name(f"{name}_joined")
        new = keras_object("keras.layers", "Concatenate", {"name": joined, "axis": -1})
        edits.after(layer, new)
        numbers = range(len(calls_of(layer)))
        new["inbound_nodes"] = [call_of([tensor(name, n, 0), tensor(name, n, 1)]) for n in numbers]
        config_of(layer)["merge_mode"] = None


def _wrapped(layer: Json) -> list[Json]:
    """What a TimeDistributed or Bidirectional wraps; any other layer itself."""
    places = {"TimeDistributed": ["layer"], "Bidirectional": ["layer", "backward_layer"]}
    held = [config_of(layer).get(place) for place in places.get(class_of(layer), ())]
    return [item for item in held if isinstance(item, dict)] or [layer]


def _layout(layer: Json) -> Layout | None:
    """The layout that a layer with channels first takes; None for all others."""
    inner, *others = _wrapped(layer)
    kind, wrapper = class_of(inner), class_of(layer)
    planes = re.search(r"([123])D", kind)
    formats = {config_of(item).get("data_format") for item in (inner, *others)}
    if formats != {"channels_first"} or planes is None:
        return None
    if wrapper == "Bidirectional" and not _is_bidirectional(layer, inner):
        return None
    if not all(call["args"] and history_of(call["args"][0]) for call in calls_of(layer)):
        return None
    axis = 1 + (wrapper == "TimeDistributed") + kind.startswith("ConvLSTM")
    return Layout(int(planes[1]) + 1 + axis, axis)


def _is_bidirectional(layer: Json, inner: Json) -> bool:
    """Whether it is one that can be turned.

    Of one that joins its outputs and returns states, too, every state's place would be another.
    """
    joins = config_of(layer).get("merge_mode", "concat") == "concat"
    states = bool(config_of(inner).get("return_state"))
    return class_of(inner).startswith("ConvLSTM") and not (joins and states)


def _outputs(layer: Json, layout: Layout) -> list[Layout | None]:
    """The layouts of what the layer makes; None where no channels axis is left."""
    inner = _wrapped(layer)[0]
    config, kind = config_of(inner), class_of(inner)
    if not kind.startswith("ConvLSTM"):
        return [None if kind.startswith("Global") and not config.get("keepdims") else layout]
    twice = class_of(layer) == "Bidirectional"
    apart = twice and config_of(layer).get("merge_mode", "concat") is None
    made = layout if config.get("return_sequences") else _state(layout)
    states = [_state(layout)] * (2 * (1 + twice) if config.get("return_state") else 0)
    return [*[made] * (1 + apart), *states]


def _state(layout: Layout) -> Layout:
    """Of what a recurrent layer holds at one time."""
    return Layout(layout.rank - 1, layout.axis - 1)


MIGRATION = Migration(
    "KG432", "Keras 1 and 2", lambda w: w.before_keras3, rewrite, words=("channels_first",)
)
