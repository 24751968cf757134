"""Writes the golden files of the failure classes with whatever Keras this interpreter has.

    python write.py OUT [CASE ...]   # TensorFlow 2.12, 2.15; Keras 3.3, 3.10, 3.12

Each case leaves its files and `<case>.npz`: inputs `x0`, `x1`, predictions `y0`, and whatever else
the test compares. OUT is then packed as `<writer>.tar.xz`. Never regenerate what is committed: the
files are what those versions really wrote.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras as standalone
import numpy as np
import tensorflow as tf

KERAS_3 = standalone.__version__.startswith("3")
keras = standalone if KERAS_3 else tf.keras
L = keras.layers
register = (
    keras.saving.register_keras_serializable if KERAS_3 else keras.utils.register_keras_serializable
)
TF_2_12 = tf.__version__.startswith("2.12")


def seq(shape, *layers, dtype=None):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


def my_relu6(x):
    return tf.minimum(tf.nn.relu(x), 6.0) * 1.5


@register("classes")
class Doubled(L.Layer):
    """A layer of the user's own with one weight."""

    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=(int(shape[-1]),), initializer="ones")
        self.built = True

    def call(self, x):
        return x * self.gain * 2.0


@register("classes")
class Nested(L.Layer):
    """A layer with sublayers in a list of lists."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [[L.Dense(4), L.Dense(4)], [L.Dense(4)]]

    def build(self, shape):
        for layer in [*self.blocks[0], *self.blocks[1]]:
            layer.build(shape)
        self.built = True

    def call(self, x):
        return self.blocks[1][0](self.blocks[0][1](self.blocks[0][0](x)))


@register("classes")
class NestedModel(keras.Model):
    """The same in a model, where the weights are written through the list of all layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [[L.Dense(4), L.Dense(4)], [L.Dense(4)]]

    def call(self, x):
        return self.blocks[1][0](self.blocks[0][1](self.blocks[0][0](x)))


class Plain(keras.Model):
    """A model that has no config, only weights."""

    def __init__(self):
        super().__init__()
        self.d1, self.d2 = L.Dense(5, activation="tanh"), L.Dense(2)

    def call(self, x):
        return self.d2(self.d1(x))


def functional():
    i = keras.Input((4,))
    return keras.Model(i, L.Dense(2)(L.Dense(3, activation="relu")(i)))


def nested_functional():
    a = keras.Input((4,), name="a")
    base = keras.Model(a, L.Dense(3, activation="tanh", name="proj")(a), name="base")
    i = keras.Input((4,))
    return keras.Model(i, L.Dense(2, name="out")(base(i)))


def nested_batchnorm():
    """Two normalisations in a nested model, of which one is frozen when it is saved."""
    base = keras.Sequential(
        [keras.Input((4,)), L.BatchNormalization(name="n1"), L.BatchNormalization(name="n2")],
        name="base",
    )
    base.layers[0].trainable = False
    i = keras.Input((4,))
    return keras.Model(i, base(i))


def nested_normalization():
    norm = L.Normalization()
    norm.adapt(np.random.RandomState(3).randn(50, 4) * 5 + 10)
    inner = keras.Sequential([keras.Input((4,)), norm], name="inner")
    i = keras.Input((4,))
    return keras.Model(i, L.Dense(2)(inner(i)))


def adapted(layer, data, shape, dtype=None):
    layer.adapt(data)
    return seq(shape, layer, dtype=dtype)


def attention(kind, **kwargs):
    q, v = keras.Input((3, 4)), keras.Input((5, 4))
    layer = kind(**kwargs)
    return keras.Model([q, v], layer([q, v]) if kind is L.Attention else layer(q, v))


def operations():
    i = keras.Input((4, 3))
    return keras.Model(i, L.Dense(2)(tf.nn.relu(tf.reduce_mean(i[:, 1:, :] * 2.0, axis=1) + 0.5)))


def slash():
    return keras.Sequential(
        [L.Dense(4, name="block1/conv", input_shape=(4,)), L.Dense(2, name="block1/out")]
    )


def duplicates():
    model = seq((4,), L.Dense(4, name="a"), L.Dense(4, name="b"))
    model.layers[1]._name = "a"
    return model


def mixed():
    return seq((4,), L.Dense(4, dtype=keras.mixed_precision.Policy("mixed_float16")), L.Dense(2))


def wrapped():
    cells = L.StackedRNNCells([L.LSTMCell(2), L.LSTMCell(3)])
    return seq(
        (5, 3),
        L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.TimeDistributed(L.Dense(4)),
        L.RNN(cells),
    )


def int4():
    model = seq((16,), L.Dense(8), L.Dense(6))
    model.quantize("int4")
    return model


def trained(optimizer, layers=3):
    model = seq((4,), *[L.Dense(4, activation="tanh") for _ in range(layers - 1)], L.Dense(1))
    model.compile(optimizer() if callable(optimizer) else optimizer, "mean_squared_error")
    rs = np.random.RandomState(5)
    model.fit(rs.randn(12, 4), rs.randn(12, 1), batch_size=4, epochs=2, verbose=0)
    model.fitted = True
    return model


def sgd():
    return keras.optimizers.SGD(0.02, momentum=0.9)


def rms():
    return keras.optimizers.RMSprop(0.003, momentum=0.5)


def decayed():
    return keras.optimizers.legacy.Adam(learning_rate=0.01, decay=0.001)


OLD = {  # by TensorFlow 2.15 (and 2.12)
    "axis_softmax": (lambda: seq((3, 4), L.Softmax(axis=[1, 2])), "h5"),
    "axis_layernorm": (
        lambda: seq((3, 4), L.LayerNormalization(axis=[1, 2], center=False, scale=False)),
        "h5",
    ),
    "axis_square": (lambda: seq((4, 4), L.LayerNormalization(axis=[1, 2])), "h5 keras"),
    "axis_unitnorm": (lambda: seq((3, 4), L.UnitNormalization(axis=[1, 2])), "h5"),
    "axis_none": (lambda: adapted(L.Normalization(axis=None), np.arange(12.0), (4,)), "h5"),
    "hard_sigmoid": (
        lambda: seq(
            (5, 3), L.LSTM(4, recurrent_activation="hard_sigmoid"), L.Dense(4, "hard_sigmoid")
        ),
        "h5 keras weights_h5",
    ),
    "convlstm": (lambda: seq((3, 5, 5, 1), L.ConvLSTM2D(2, 2)), "h5 weights_h5 v3"),
    "nested_normalization": (nested_normalization, "h5"),
    "nested_batchnorm": (nested_batchnorm, "weights_h5"),
    "adam": (lambda: trained("adam"), "h5 keras v3 weights_h5 ckpt ckpt_model"),
    "sgd": (lambda: trained(sgd), "h5 keras v3"),
    "rmsprop": (lambda: trained(rms), "h5 keras v3"),
    "decay": (lambda: trained(decayed), "h5"),
    "lstm": (lambda: seq((5, 3), L.LSTM(3, return_sequences=True), L.SimpleRNN(2)), "h5 keras"),
    "gru_reset_false": (
        lambda: seq((5, 3), L.GRU(3, reset_after=False, name="g")),
        "h5 weights_h5",
    ),
    "depthwise": (lambda: seq((5, 5, 2), L.DepthwiseConv2D(2)), "h5 keras"),
    "separable": (
        lambda: seq(
            (5, 5, 2), L.SeparableConv2D(3, 2), L.Reshape((16, 3)), L.SeparableConv1D(2, 3)
        ),
        "h5 keras",
    ),
    "convtranspose": (
        lambda: seq(
            (3, 3, 2),
            L.Conv2DTranspose(3, 3, strides=2),
            L.Reshape((49, 3)),
            L.Conv1DTranspose(2, 2),
        ),
        "h5 keras",
    ),
    "nested_functional": (nested_functional, "h5 keras"),
    "batchnorm": (
        lambda: seq(
            (4, 3), L.BatchNormalization(axis=1), L.TimeDistributed(L.BatchNormalization())
        ),
        "h5 keras",
    ),
    "embedding": (
        lambda: keras.Sequential([L.Embedding(7, 3, input_length=4), L.Flatten(), L.Dense(2)]),
        "h5 keras",
    ),
    "textvectorization": (
        lambda: adapted(
            L.TextVectorization(output_sequence_length=4), ["a b c", "b c d", "c b"], (), "string"
        ),
        "keras",
    ),
    "lookup": (
        lambda: adapted(L.StringLookup(), ["cat", "dog", "fox", "dog"], (1,), "string"),
        "weights_h5",
    ),
    "functional": (functional, "keras"),
    "mha": (lambda: attention(L.MultiHeadAttention, num_heads=2, key_dim=4), "h5 keras"),
    "attention": (lambda: attention(L.Attention, use_scale=True), "h5 keras"),
    "discretization": (
        lambda: adapted(L.Discretization(num_bins=4), np.random.RandomState(1).randn(99, 1), (1,)),
        "h5 keras",
    ),
    "discretization_given": (
        lambda: seq((1,), L.Discretization(bin_boundaries=[-0.5, 0.0, 0.5])),
        "h5 keras",
    ),
    "wrapped": (wrapped, "h5 keras"),
    "thresholded": (lambda: seq((4,), L.Dense(4), L.ThresholdedReLU(0.3)), "h5 keras"),
    "locally": (lambda: seq((6, 2), L.LocallyConnected1D(3, 2)), "h5 keras"),
    "operations": (operations, "h5 keras"),
    "lambda": (
        lambda: seq((4,), L.Dense(3), L.Lambda(lambda x: x * 2.0 + 1.0, name="twice")),
        "h5 keras",
    ),
    "custom_activation": (lambda: seq((4,), L.Dense(4, activation=my_relu6)), "h5 keras"),
    "custom_layer": (lambda: seq((4,), L.Dense(4), Doubled()), "h5 keras"),
    "dense_2": (lambda: seq((4,), L.Dense(4), L.Dense(4)), "h5 v3 weights_h5"),
    "dense_3": (
        lambda: seq((4,), L.Dense(4), L.Dense(4), L.Dense(4)),
        "h5 v3 weights_h5 ckpt savedmodel keras",
    ),
    "named": (lambda: seq((4,), L.Dense(4, name="query"), L.Dense(4, name="key")), "h5 weights_h5"),
    "named_weights": (lambda: seq((4,), L.Dense(4)), "legacy_as_v3"),
    "slash": (slash, "h5"),
    "duplicates": (duplicates, "keras v3"),
    "subclassed": (Plain, "weights_h5"),
    "conv": (
        lambda: seq((6, 6, 2), L.Conv2D(3, 3, activation="tanh"), L.Conv2DTranspose(2, 3)),
        "h5 weights_h5",
    ),
    "bfloat16": (lambda: seq((4,), L.Dense(4, dtype="bfloat16")), "v3"),
    "mixed": (mixed, "h5 keras"),
    "nested_lists": (lambda: seq((4,), Nested()), "keras v3"),
}
NEW = {  # by Keras 3
    "nested_lists": (lambda: seq((4,), Nested()), "keras v3"),
    "nested_lists_model": (NestedModel, "keras v3"),
    "adam": (lambda: trained("adam"), "keras v3"),
    "bfloat16": (lambda: seq((4,), L.Dense(4, dtype="bfloat16")), "v3"),
    "int4": (int4, "keras v3"),
}
ONLY_2_12 = (
    "wrapped",
    "dense_3",
    "adam",
    "hard_sigmoid",
    "nested_normalization",
    "lstm",
    "convlstm",
    "batchnorm",
)
SAVE = {
    "h5": lambda model, path: model.save(path + ".h5"),
    "keras": lambda model, path: model.save(path + ".keras"),
    "weights_h5": lambda model, path: model.save_weights(path + "_weights.h5"),
    "v3": lambda model, path: model.save_weights(path + ".weights.h5"),
    "ckpt": lambda model, path: model.save_weights(path + "_ckpt"),
    "ckpt_model": lambda model, path: tf.train.Checkpoint(model=model).write(path + "_tracked"),
    "legacy_as_v3": lambda model, path: renamed(model, path),
    "savedmodel": lambda model, path: model.save(path + "_savedmodel"),
}


def renamed(model, path):
    """The legacy layout under the name of the new one."""
    model.save_weights(path + "_weights.h5")
    Path(path + "_weights.h5").replace(path + ".weights.h5")


def inputs(model, name):
    rs = np.random.RandomState(sum(map(ord, name)))
    if name == "textvectorization":
        return [np.array(["a d", "c c b x"])]
    if name == "lookup":
        return [np.array([["dog"], ["cat"], ["bird"]])]
    if name == "embedding":
        return [rs.randint(0, 7, (3, 4))]
    specs = getattr(model, "inputs", None)
    shapes = [tuple(t.shape)[1:] for t in specs] if specs else [(4,)]
    return [rs.randn(3, *shape).astype("float32") for shape in shapes]


def randomise(model, name):
    rs = np.random.RandomState(len(name))
    for v in model.weights:
        if not hasattr(v, "dtype") or None in tuple(v.shape):
            continue
        kind = np.dtype(str(getattr(v.dtype, "name", v.dtype)).replace("bfloat16", "float32")).kind
        if (
            kind == "f"
            and "normalization" not in name
            and name != "discretization"
            and not name.startswith("axis_none")
        ):
            values = rs.randn(*v.shape)
            v.assign(np.abs(values) + 0.5 if "variance" in v.name else values)


def write(name, make, formats, out):
    keras.backend.clear_session()
    np.random.seed(1)
    (keras.utils.set_random_seed if KERAS_3 else tf.random.set_seed)(1)
    model = make()
    x = inputs(model, name)

    def predict():
        if name == "mixed":
            return model.predict(x[0], verbose=0)
        return np.asarray(model(x if len(x) > 1 else x[0], training=False))

    predict()
    if not getattr(model, "fitted", False) and name != "int4":
        randomise(model, name)
    arrays = {f"x{i}": a for i, a in enumerate(x)} | {"y0": predict()}
    if getattr(model, "fitted", False):
        optimizer = model.optimizer
        state = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
        arrays |= {f"o{i:03}": np.array(v) for i, v in enumerate(state)}
        arrays["names"] = np.array([getattr(v, "path", v.name) for v in state])
    for kind in formats.split():
        try:
            SAVE[kind](model, str(Path(out, name)))
        except Exception as error:  # noqa: BLE001  # versions differ in what they save
            print(name, kind, "not saved:", type(error).__name__, str(error)[:200])
    np.savez_compressed(
        Path(out, name + ".npz"),
        **{k: a.astype("float32") if "bfloat16" in str(a.dtype) else a for k, a in arrays.items()},
    )


def main(out, *only):
    Path(out).mkdir(parents=True, exist_ok=True)
    for name, (make, formats) in (NEW if KERAS_3 else OLD).items():
        if only and name not in only:
            continue
        if name == "int4" and not standalone.__version__.startswith("3.12"):
            continue
        if not TF_2_12 or name in ONLY_2_12:
            try:
                write(name, make, formats, out)
            except Exception as error:  # noqa: BLE001  # versions differ in what they save
                print(name, "failed:", type(error).__name__, str(error)[:300])


if __name__ == "__main__":
    main(*sys.argv[1:])
