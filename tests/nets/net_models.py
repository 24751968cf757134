"""Imaginary models made real: a `Net` as a Keras model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from nets import Call, Net

__all__ = ["built"]


def built(of: Net) -> Any:
    """The Keras model; names that Keras would make up are given, so that they do not drift."""
    names = of.names()
    layers = {la.uid: _layer(la.cls, dict(la.config), names[la.uid]) for la in of.layers}
    inside = {uid: inner for inner in of.inner for uid in inner.members}
    made: dict[Call, Any] = {(la.uid, 0): layers[la.uid] for la in of.layers if la.cls == "Input"}
    inputs = list(made.values())

    def output(call: Call) -> Any:
        if call not in made:
            uid, number = call
            inner = inside.get(uid)
            first = inner.members[0] if inner else uid
            arguments = [output(source) for source in of[first].calls[number]]
            if inner is None:
                made[call] = _called(layers[uid], of[uid].cls, arguments)
            else:
                start = x = keras.Input(arguments[0].shape[1:], name=names[f"{inner.uid}/input"])
                for member in inner.members:
                    x = _called(layers[member], of[member].cls, [x])
                model = keras.Model(start, x, name=names[inner.uid])
                made[inner.members[-1], 0] = model(arguments[0])
        return made[call]

    for layer in of.layers:  # calls of one layer are numbered in the order in which they happen
        for number in range(len(layer.calls)):
            if layer.uid not in inside or layer.uid == inside[layer.uid].members[-1]:
                output((layer.uid, number))
    model = keras.Model(inputs, [output(call) for call in of.outputs], name=of.name or None)
    for uid in of.frozen:
        if uid in layers and hasattr(layers[uid], "trainable"):
            layers[uid].trainable = False
    if of.optimizer:
        model.compile(of.optimizer, "mse")
        model.optimizer.build(model.trainable_variables)
    return model


def _layer(cls: str, config: dict[str, Any], name: str) -> Any:
    if cls == "Input":
        return keras.Input(config["shape"], dtype=config.get("dtype"), name=name)
    return getattr(keras.layers, cls)(**config, name=name)


def _called(layer: Any, cls: str, arguments: list[Any]) -> Any:
    if cls in ("Add", "Concatenate"):
        return layer(arguments)
    return layer(*arguments)
