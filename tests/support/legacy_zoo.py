"""Models of tf_keras that are saved and restored in the tests, small and quick to build."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

layers = tf_keras.layers
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
IMAGES = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")


@tf_keras.saving.register_keras_serializable("tests")
class Held(layers.Layer):  # type: ignore[misc,name-defined]
    """A layer with weights of its own, and layers in a list, in a dict, and in a dict in a list."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.parts = [layers.Dense(3), {"x": layers.Dense(3)}]
        self.named = {"k": layers.Dense(3)}

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight("scale", shape=(shape[-1], 3))
        self.seen = self.add_weight("seen", shape=(), trainable=False, initializer="zeros")
        super().build(shape)

    def call(self, x: Any) -> Any:
        return self.named["k"](self.parts[1]["x"](self.parts[0](x @ self.scale)))


class Net(tf_keras.Model):  # type: ignore[misc]
    """A class of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = layers.Dense(5), layers.Dense(1)
        self.blocks = [layers.Dense(5), layers.Dense(5)]

    def call(self, x: Any) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def get_config(self) -> dict[str, Any]:
        return {}


def functional() -> Any:
    inputs = tf_keras.Input((4,))
    x = layers.BatchNormalization()(layers.Dense(5, activation="relu")(inputs))
    return tf_keras.Model(inputs, layers.Dense(1, name="head")(layers.Dropout(0.2)(x)))


def sequential() -> Any:
    stack = [tf_keras.Input((4,)), layers.Dense(5), layers.LayerNormalization(), layers.Dense(1)]
    return tf_keras.Sequential(stack)


def subclassed() -> Any:
    model = Net()
    model(X)
    return model


def nested() -> Any:
    inner = tf_keras.Sequential([layers.Dense(4, name="a"), layers.Dense(4, name="b")], name="in")
    shared, inputs = layers.Dense(4, name="shared"), tf_keras.Input((4,))
    return tf_keras.Model(inputs, layers.Dense(1)(shared(inner(shared(inputs)))))


def held() -> Any:
    inputs = tf_keras.Input((4,))
    return tf_keras.Model(inputs, layers.Dense(1)(Held()(inputs)))


def images() -> Any:
    inputs = tf_keras.Input((6, 6, 2))
    x = layers.DepthwiseConv2D(3)(layers.SeparableConv2D(4, 3)(inputs))
    return tf_keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))


def recurrent() -> Any:
    inputs = tf_keras.Input((4, 1))
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(inputs)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    return tf_keras.Model(inputs, layers.Dense(1)(layers.LSTM(4)(x)))


MODELS: dict[str, Callable[[], Any]] = {
    make.__name__: make
    for make in (functional, sequential, subclassed, nested, held, images, recurrent)
}
FORMATS = ("m.keras", "m.weights.h5", "m.h5", "ckpt", "saved_model")


def made(kind: str) -> Any:
    """A fresh compiled model."""
    model = MODELS[kind]()
    model.compile(tf_keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


def inputs_of(kind: str) -> Any:
    """A batch for it."""
    return {"images": IMAGES, "recurrent": X[..., None]}.get(kind, X)


def trained(kind: str) -> Any:
    """A model with optimizer state."""
    tf_keras.utils.set_random_seed(1)
    model = made(kind)
    model.train_on_batch(inputs_of(kind), Y)
    model.train_on_batch(inputs_of(kind), Y)
    return model


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """In the format that the name says."""
    name = Path(path).name
    if name == "ckpt":
        model.save_weights(str(path), save_format="tf")
    elif name.endswith(".weights.h5"):
        model.save_weights(str(path))
    else:
        model.save(str(path), **({} if "." in name else {"save_format": "tf"}))


def state(model: Any) -> list[Any]:
    """All that the model and its optimizer hold."""
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


def same(some: list[Any], others: list[Any]) -> bool:
    """Bit for bit."""
    return len(some) == len(others) and all(map(np.array_equal, some, others))
