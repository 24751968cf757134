"""The models of the golden files in `tests/golden/writers`, as today's Keras builds them.

Weights-only files need a model to be loaded into. Every function makes a model of the same layers
with the same names as the one that the old TensorFlow versions saved; the weights are other ones.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

__all__ = ["CUSTOM_OBJECTS", "MODELS", "built"]


@keras.saving.register_keras_serializable("zoo")
class Scale(layers.Layer):  # type: ignore[misc]
    """A layer of the writers' own, with a weight per channel."""

    def __init__(self, power: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.power = power

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(name="gain", shape=(shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * (self.gain**self.power)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power}


class Sub(keras.Model):  # type: ignore[misc]
    """A subclassed model: no config, weights only."""

    def __init__(self, units: int = 5) -> None:
        super().__init__()
        self.h1 = layers.Dense(units, activation="relu")
        self.bn = layers.BatchNormalization()
        self.h2 = layers.Dense(2)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.h2(self.bn(self.h1(x), training=training))


CUSTOM_OBJECTS = {"Scale": Scale, "zoo>Scale": Scale, "Sub": Sub}


def mlp() -> keras.Model:
    inputs = keras.Input((6,), name="features")
    x = layers.Dense(8, activation="relu", name="dense_layer")(inputs)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="output_layer")(x))


def cnn_bn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(6, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3),
            layers.BatchNormalization(scale=False),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )


def mobile() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-4)(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = layers.ReLU(6.0)(x)
    x = layers.SeparableConv2D(10, 3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def lstm() -> keras.Model:
    inputs = keras.Input((7,), dtype="int32")
    x = layers.LSTM(6, return_sequences=True)(layers.Embedding(11, 5)(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.LSTM(4)(x)))


def gru() -> keras.Model:
    inputs = keras.Input((5, 4))
    return keras.Model(inputs, layers.Dense(3)(layers.GRU(6)(inputs)))


def bidir() -> keras.Model:
    inputs = keras.Input((6, 3))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(inputs)
    x = layers.TimeDistributed(layers.Dense(3, activation="tanh"))(x)
    return keras.Model(inputs, layers.Bidirectional(layers.GRU(2), merge_mode="sum")(x))


def nested() -> keras.Model:
    a = keras.Input((5,), name="a")
    proj = layers.Dense(4, activation="tanh", name="proj")
    inner = keras.Model(a, proj(layers.BatchNormalization(name="norm")(a)), name="encoder")
    head = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="proj"), layers.Dense(2, name="out")], name="head"
    )
    inputs = keras.Input((5,))
    return keras.Model(inputs, head(inner(inputs)), name="outer")


def siamese() -> keras.Model:
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = layers.Dense(6, activation="relu", name="shared_enc")
    difference = layers.Subtract()([shared(left), shared(right)])
    x = layers.Concatenate(name="cat")([shared(left), shared(right), difference])
    same = layers.Dense(1, activation="sigmoid", name="same")(x)
    return keras.Model([left, right], [same, layers.Dense(3, name="why")(x)])


def custom() -> keras.Model:
    inputs = keras.Input((5,))
    return keras.Model(inputs, layers.Dense(2)(Scale(2)(layers.Dense(4)(inputs))))


def autonamed() -> keras.Model:
    for _ in range(3):
        layers.Dense(2)(keras.Input((2,)))
    inputs = x = keras.Input((4,))
    for _ in range(4):
        x = layers.Dense(4)(x)
    return keras.Model(inputs, x)


def activations() -> keras.Model:
    inputs = keras.Input((6,))
    x = layers.LeakyReLU(0.2)(layers.Dense(6)(inputs))
    x = layers.ELU(0.7)(layers.PReLU()(x))
    x = layers.Dense(6, activation="elu")(x)
    x = layers.Dense(6, activation="hard_sigmoid")(x)
    x = layers.Dense(6, activation="selu")(x)
    return keras.Model(inputs, layers.Softmax(axis=-1)(x))


def optimizer_state() -> keras.Model:
    return keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, activation="relu"), layers.Dense(1)]
    )


def layernorm() -> keras.Model:
    inputs = keras.Input((4, 6))
    return keras.Model(inputs, layers.Dense(2)(layers.LayerNormalization()(inputs)))


def mha() -> keras.Model:
    inputs = keras.Input((4, 6))
    x = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([inputs, x]))
    return keras.Model(inputs, layers.Dense(2)(x))


def float64() -> keras.Model:
    inputs = keras.Input((4,), dtype="float64")
    x = layers.Dense(5, activation="tanh", dtype="float64")(inputs)
    x = layers.BatchNormalization(dtype="float64")(x)
    return keras.Model(inputs, layers.Dense(3, dtype="float64")(x))


# `tfops` is made of TensorFlow functions, which today's Keras does not take; only files with an
# architecture hold it.
MODELS = {
    make.__name__: make
    for make in (
        *(mlp, cnn_bn, mobile, lstm, gru, bidir, nested, siamese, custom, autonamed, activations),
        *(optimizer_state, layernorm, mha, float64),
    )
}
MODELS |= {"gru_reset_after": gru, "subclassed": Sub}


def built(name: str, inputs: Any) -> keras.Model:
    """A model by the name of its files, with variables; `inputs` fit the first of its inputs."""
    model = MODELS[name]()
    if getattr(model, "inputs", None) is None:
        model(inputs)
    return model
