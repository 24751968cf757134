"""Models of every kind that the other tests of the Keras integration are run on."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
layers = keras.layers

# Keras' TensorFlow backend converts variables in a way that NumPy 2 warns about.
MARKS = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


@keras.saving.register_keras_serializable("kerasguard_tests")
class Block(layers.Layer):  # type: ignore[misc,name-defined]
    """A layer with sublayers in a list, a dict, a nested list and an attribute."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units, name="first")
        self.many = [layers.Dense(units, name=f"many_{i}") for i in range(3)]
        self.named = {"b": layers.Dense(units, name="b"), "a": layers.Dense(units, name="a")}
        self.deep = [[layers.Dense(units, name="x")], (layers.LayerNormalization(name="y"),)]

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight(shape=(self.units,), name="scale", initializer="ones")
        every = [self.first, *self.many, *self.named.values(), self.deep[0][0], self.deep[1][0]]
        for layer in every:
            layer.build(shape)
            shape = (*shape[:-1], self.units)
        self.built = True

    def call(self, x: Any) -> Any:
        x = self.first(x)
        for layer in (*self.many, *self.named.values(), self.deep[0][0], self.deep[1][0]):
            x = layer(x)
        return x * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("kerasguard_tests")
class Subclassed(keras.Model):  # type: ignore[misc,name-defined]
    """A model that calls its layers in code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stem = layers.Dense(4, name="stem")
        self.blocks = [Block(4, name="block_one"), Block(4, name="block_two")]
        self.table = {"z": layers.Dense(3, name="z"), "m": [layers.BatchNormalization(name="m")]}
        self.zeta = layers.Dense(2, name="zeta")

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = self.table["m"][0](self.table["z"](x), training=training)
        return self.zeta(x)


@keras.saving.register_keras_serializable("kerasguard_tests")
class Doubled(layers.Layer):  # type: ignore[misc,name-defined]
    """A layer that stores its weight in a form of its own."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.w = self.add_weight(shape=(shape[-1],), name="w")

    def call(self, x: Any) -> Any:
        return x * self.w

    def save_own_variables(self, store: Any) -> None:
        store["twice"] = np.asarray(self.w) * 2

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        self.w.assign(store["twice"] / 2)


def sequential() -> Any:
    """Three layers, one of them without weights."""
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, name="hidden"), layers.ReLU(), layers.Dense(2)]
    )


def functional() -> Any:
    """Two branches, a shared layer called twice, an operation that is no layer."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(4, name="shared")
    x, y = shared(a), shared(b)
    x = layers.Dense(4, name="left")(x)
    z = layers.Concatenate()([x, y]) + keras.ops.concatenate([y, x], axis=-1)
    return keras.Model([a, b], [layers.Dense(1, name="head")(z), x])


def nested() -> Any:
    """A Functional in a Functional, called twice, and a Sequential in it."""
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, layers.Dense(4, name="dense")(inner_input), name="encoder")
    tail = keras.Sequential([layers.Dense(3), layers.BatchNormalization()], name="tail")
    x = keras.Input((4,))
    return keras.Model(x, [tail(inner(inner(x))), inner(x)])


def subclassed() -> Any:
    """Containers of every kind, built by a call."""
    model = Subclassed()
    model(np.zeros((1, 5), "float32"))
    return model


def compiled(optimizer: Any) -> Callable[[], Any]:
    """A small model trained one step, so that the optimizer has state."""

    def make() -> Any:
        model = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(5, name="hidden"),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.Dense(2, name="head"),
            ]
        )
        model.compile(
            optimizer if isinstance(optimizer, str) else optimizer(),
            "mse",
            metrics=["mae"],
            run_eagerly=True,
        )
        model.train_on_batch(np.ones((4, 6)), np.ones((4, 2)))
        return model

    return make


def attention() -> Any:
    """Multi-head attention, an EinsumDense and an embedding."""
    tokens = keras.Input((7,), dtype="int32")
    x = layers.Embedding(11, 8)(tokens)
    x = layers.MultiHeadAttention(2, 4, name="mha")(x, x)
    x = layers.EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d")(x)
    return keras.Model(tokens, layers.GroupNormalization(3)(x))


def recurrent() -> Any:
    """A bidirectional LSTM over a wrapped layer, a GRU and a stateful RNN."""
    x = keras.Input((5, 3), batch_size=2)
    y = layers.TimeDistributed(layers.Dense(4))(x)
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(y)
    y = layers.GRU(2, return_sequences=True)(y)
    return keras.Model(x, layers.SimpleRNN(2, stateful=True)(y))


def preprocessing() -> Any:
    """Normalization (nested too), a lookup, text vectorisation and a discretisation."""
    numbers, words, text = (
        keras.Input((3,)),
        keras.Input((1,), dtype="string"),
        keras.Input((1,), dtype="string"),
    )
    inner_norm = layers.Normalization()
    inner_norm.adapt(np.arange(12.0).reshape(4, 3))
    inner_input = keras.Input((3,))
    inner = keras.Model(inner_input, layers.Dense(2)(inner_norm(inner_input)), name="inner")
    lookup = layers.StringLookup(output_mode="tf_idf", name="words")
    lookup.adapt(np.array([["cat"], ["dog"], ["dog"]]))
    vectors = layers.TextVectorization(output_sequence_length=4, name="text")
    vectors.adapt(np.array(["the cat", "the dog ran"]))
    bins = layers.Discretization(bin_boundaries=[0.0, 1.0])
    parts = [inner(numbers), lookup(words), vectors(text), bins(numbers)]
    parts = [keras.ops.cast(part, "float32") for part in parts]
    return keras.Model([numbers, words, text], layers.Dense(2)(layers.Concatenate()(parts)))


def convolutional() -> Any:
    """Every kind of convolution that has more than a kernel and a bias."""
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    y = layers.SeparableConv2D(4, 3, padding="same")(layers.BatchNormalization()(y))
    y = layers.Add()([layers.DepthwiseConv2D(3, padding="same")(y), y])
    return keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2DTranspose(2, 2)(y)))


def quantised() -> Any:
    """An int8 Dense and an int8 EinsumDense."""
    x = keras.Input((4, 6))
    y = layers.EinsumDense("abc,cd->abd", output_shape=(None, 5), name="einsum")(x)
    model = keras.Model(x, layers.Dense(3, name="dense")(y))
    for layer in model.layers[1:]:
        layer.quantize("int8")
    return model


def own_format() -> Any:
    """A layer that overrides how it is saved, inside a nested model."""
    return keras.Sequential(
        [keras.Input((3,)), keras.Sequential([Doubled(name="own")]), layers.Dense(1)]
    )


def mixed() -> Any:
    """bfloat16 variables beside float32 ones, under a mixed policy."""
    x = keras.Input((3,))
    y = layers.Dense(4, dtype="bfloat16")(x)
    return keras.Model(x, layers.Dense(2, dtype="mixed_float16")(y))


ZOO: dict[str, Callable[[], Any]] = {
    "sequential": sequential,
    "functional": functional,
    "nested": nested,
    "subclassed": subclassed,
    "adam": compiled("adam"),
    "sgd_momentum": compiled(lambda: keras.optimizers.SGD(0.1, momentum=0.9)),
    "adam_ema": compiled(lambda: keras.optimizers.Adam(amsgrad=True, use_ema=True)),
    "loss_scale": compiled(
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop(momentum=0.5))
    ),
    "adafactor": compiled(lambda: keras.optimizers.Adafactor()),
    "nadam": compiled("nadam"),
    "attention": attention,
    "recurrent": recurrent,
    "preprocessing": preprocessing,
    "convolutional": convolutional,
    "quantised": quantised,
    "own_format": own_format,
    "mixed": mixed,
}


def scrambled(model: Any, seed: int = 0) -> Any:
    """The model with every floating-point weight replaced by random numbers."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if "float" in variable.dtype:
            variable.assign(generator.random(variable.shape).astype("float32"))
    return model


def stored(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Tensors and assets in a `.keras` file, as kerasguard's formats would give them."""
    values: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            kind = ml_dtypes.bfloat16 if item.attrs.get("dtype") == "bfloat16" else item.dtype
            values[name] = aligned(np.asarray(item[()]).view(kind).reshape(item.shape))

    with zipfile.ZipFile(path) as archive:
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(visit)
        assets = [name for name in archive.namelist() if name.startswith("assets/")]
        return values, {name[7:]: archive.read(name) for name in assets if not name.endswith("/")}


def aligned(array: Any) -> Any:
    """A copy whose memory starts at a multiple of 64 bytes."""
    raw = np.empty(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
