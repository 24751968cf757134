"""Forty small programs in the manner of Keras' examples: what people save and load unmodified.

Each is a function that builds a model and the inputs it is called on. `PROGRAMS` has them by
name. Nothing is downloaded and nothing trained; models are built, compiled where an example
would, and called once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

L = keras.layers
PROGRAMS: dict[str, Callable[[], tuple[Any, Any]]] = {}


def program(make: Callable[[], tuple[Any, Any]]) -> Callable[[], tuple[Any, Any]]:
    """Register a program."""
    PROGRAMS[make.__name__] = make
    return make


def floats(*shape: int) -> np.ndarray:
    """Inputs, the same in every process."""
    return np.random.default_rng(7).normal(size=shape).astype("float32")


def tokens(*shape: int, below: int = 20) -> np.ndarray:
    """Token ids, the same in every process."""
    return np.random.default_rng(7).integers(1, below, shape).astype("int32")


def registered(cls: type) -> Any:
    """A class that loads by its name."""
    return keras.saving.register_keras_serializable("examples")(cls)


@program
def mnist_convnet() -> tuple[Any, Any]:
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            L.Conv2D(4, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model, floats(2, 12, 12, 1)


@program
def mixed_metrics() -> tuple[Any, Any]:
    x = keras.Input((6,))
    h = L.Dense(5, activation="relu")(x)
    model = keras.Model(x, {"a": L.Dense(2, name="a")(h), "b": L.Dense(3, name="b")(h)})
    model.compile("rmsprop", {"a": "mse", "b": "mae"}, metrics={"a": ["mae"], "b": ["mse"]})
    return model, floats(2, 6)


@program
def lstm_sentiment() -> tuple[Any, Any]:
    x = keras.Input((None,), dtype="int32")
    h = L.Embedding(20, 6, mask_zero=True)(x)
    h = L.Bidirectional(L.LSTM(4, return_sequences=True))(h)
    h = L.Bidirectional(L.GRU(3))(h)
    model = keras.Model(x, L.Dense(1, activation="sigmoid")(h))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model, tokens(2, 7)


@program
def backwards_in_bidirectional() -> tuple[Any, Any]:
    x = keras.Input((5, 3))
    forth, back = L.LSTM(4, name="there"), L.LSTM(4, go_backwards=True, name="back_again")
    h = L.Bidirectional(forth, backward_layer=back)(x)
    return keras.Model(x, L.Dense(2)(h)), floats(2, 5, 3)


@program
def rnn_cells() -> tuple[Any, Any]:
    x = keras.Input((5, 3))
    h = L.RNN([L.LSTMCell(4), L.GRUCell(4), L.SimpleRNNCell(3)], return_sequences=True)(x)
    h = L.TimeDistributed(L.Dense(4))(h)
    return keras.Model(x, L.SimpleRNN(2)(h)), floats(2, 5, 3)


@program
def conv_lstm() -> tuple[Any, Any]:
    x = keras.Input((4, 6, 6, 1))
    h = L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x)
    h = L.BatchNormalization()(h)
    h = L.Bidirectional(L.ConvLSTM2D(2, 3, padding="same", return_sequences=True))(h)
    return keras.Model(x, L.Conv3D(1, 3, padding="same")(h)), floats(1, 4, 6, 6, 1)


@program
def seq2seq() -> tuple[Any, Any]:
    a, b = keras.Input((None, 5)), keras.Input((None, 6))
    _, h, c = L.LSTM(4, return_state=True)(a)
    out, _, _ = L.LSTM(4, return_sequences=True, return_state=True)(b, initial_state=[h, c])
    model = keras.Model([a, b], L.Dense(6, activation="softmax")(out))
    model.compile("rmsprop", "categorical_crossentropy")
    return model, [floats(2, 4, 5), floats(2, 3, 6)]


@program
def siamese() -> tuple[Any, Any]:
    base = keras.Sequential([keras.Input((6,)), L.Dense(5), L.Dense(3)], name="tower")
    a, b = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    d = ops.sum(ops.square(base(a) - base(b)), axis=1, keepdims=True)
    return keras.Model([a, b], L.Dense(1)(d)), [floats(2, 6), floats(2, 6) + 1]


@program
def one_input_two_models() -> tuple[Any, Any]:
    x = keras.Input((8,), name="pixels")
    code = L.Dense(3, name="code")(x)
    encoder = keras.Model(x, code, name="encoder")
    z = keras.Input((3,))
    decoder = keras.Model(z, L.Dense(8)(z), name="decoder")
    return keras.Model(x, decoder(encoder(x)), name="autoencoder"), floats(2, 8)


@program
def shared_trunk() -> tuple[Any, Any]:
    x = keras.Input((8,))
    trunk = L.Dense(6, activation="relu")(x)
    part = keras.Model(x, trunk)
    return keras.Model(x, [L.Dense(2)(trunk), L.Dense(2)(part(x))]), floats(2, 8)


@program
def transfer_learning() -> tuple[Any, Any]:
    x = keras.Input((8, 8, 3))
    h = L.Conv2D(4, 3)(x)
    h = L.BatchNormalization()(h)
    base = keras.Model(x, L.Conv2D(5, 3)(h), name="backbone")
    base.trainable = False
    y = keras.Input((8, 8, 3))
    h = L.Rescaling(1 / 255.0)(L.RandomFlip("horizontal")(y))
    h = L.GlobalAveragePooling2D()(base(h, training=False))
    model = keras.Model(y, L.Dense(2)(L.Dropout(0.2)(h)))
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    return model, floats(2, 8, 8, 3)


@program
def partly_frozen_backbone() -> tuple[Any, Any]:
    x = keras.Input((6,))
    h = L.Dense(5, name="one")(x)
    h = L.Dense(5, name="two")(L.BatchNormalization(name="bn")(h))
    base = keras.Model(x, L.Dense(5, name="three")(h), name="backbone")
    base.get_layer("two").trainable = False
    y = keras.Input((6,))
    return keras.Model(y, L.Dense(2)(base(y))), floats(2, 6)


@program
def u_net() -> tuple[Any, Any]:
    x = keras.Input((16, 16, 2))
    h = before = L.Conv2D(4, 3, padding="same")(x)
    h = L.Activation("relu")(h)
    h = L.BatchNormalization()(L.SeparableConv2D(6, 3, padding="same")(h))
    h = L.MaxPooling2D(3, strides=2, padding="same")(h)
    h = L.add([h, L.Conv2D(6, 1, strides=2, padding="same")(before)])
    h = L.Conv2DTranspose(4, 3, padding="same")(h)
    h = L.UpSampling2D(2)(h)
    h = L.concatenate([h, before])
    return keras.Model(x, L.Conv2D(3, 3, activation="softmax", padding="same")(h)), floats(
        1, 16, 16, 2
    )


@program
def depthwise_net() -> tuple[Any, Any]:
    x = keras.Input((8, 8, 3))
    h = L.DepthwiseConv2D(3)(x)
    h = L.SpectralNormalization(L.Conv2D(4, 1))(h)
    h = L.GroupNormalization(2)(h)
    h = L.PReLU(shared_axes=[1, 2])(h)
    return keras.Model(x, L.GlobalMaxPooling2D()(h)), floats(1, 8, 8, 3)


@program
def wide_and_deep() -> tuple[Any, Any]:
    x = {"a": keras.Input((3,), name="a"), "b": keras.Input((4,), name="b")}
    wide = L.Dense(2)(x["a"])
    deep = L.Dense(4, activation="relu")(L.Concatenate()([x["a"], x["b"]]))
    model = keras.Model(x, L.Add()([wide, L.Dense(2)(deep)]))
    model.compile("adam", "mse")
    return model, {"a": floats(2, 3), "b": floats(2, 4)}


@program
def einsum_attention() -> tuple[Any, Any]:
    x = keras.Input((5, 8))
    h = L.MultiHeadAttention(2, 4)(x, x)
    h = L.LayerNormalization()(x + h)
    h = L.GroupQueryAttention(2, 4, 2)(h, h)
    h = L.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d")(h)
    return keras.Model(x, h), floats(2, 5, 8)


@program
def vision_transformer() -> tuple[Any, Any]:
    x = keras.Input((8, 8, 3))
    patches = ops.image.extract_patches(x, 4)
    h = L.Reshape((4, 48))(patches)
    h = PatchEncoder(4, 8)(h)
    for _ in range(2):
        n = L.LayerNormalization(epsilon=1e-6)(h)
        h = L.Add()([L.MultiHeadAttention(2, 4, dropout=0.1)(n, n), h])
        n = L.LayerNormalization(epsilon=1e-6)(h)
        h = L.Add()([L.Dense(8, activation="gelu")(n), h])
    return keras.Model(x, L.Dense(3)(L.Flatten()(h))), floats(2, 8, 8, 3)


@registered
class PatchEncoder(L.Layer):  # type: ignore[misc,name-defined]
    """Of the vision transformer."""

    def __init__(self, patches: int, width: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.patches, self.width = patches, width
        self.projection = L.Dense(width)
        self.position = L.Embedding(patches, width)

    def call(self, patch: Any) -> Any:
        places = ops.expand_dims(ops.arange(0, self.patches), 0)
        return self.projection(patch) + self.position(places)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patches": self.patches, "width": self.width}


@registered
class TransformerBlock(L.Layer):  # type: ignore[misc,name-defined]
    """Attention and a feed-forward part in a Sequential, as in text_classification."""

    def __init__(self, width: int, heads: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.width, self.heads = width, heads
        self.att = L.MultiHeadAttention(heads, width)
        self.ffn = keras.Sequential([L.Dense(8, activation="relu"), L.Dense(width)])
        self.layernorm1, self.layernorm2 = L.LayerNormalization(), L.LayerNormalization()
        self.dropout1, self.dropout2 = L.Dropout(0.1), L.Dropout(0.1)

    def call(self, inputs: Any) -> Any:
        out = self.layernorm1(inputs + self.dropout1(self.att(inputs, inputs)))
        return self.layernorm2(out + self.dropout2(self.ffn(out)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "heads": self.heads}


@registered
class TokenAndPosition(L.Layer):  # type: ignore[misc,name-defined]
    """Two embeddings whose attributes are not in the order of their making."""

    def __init__(self, length: int, vocabulary: int, width: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.sizes = (length, vocabulary, width)
        self.token_emb = L.Embedding(vocabulary, width)
        self.pos_emb = L.Embedding(length, width)

    def call(self, x: Any) -> Any:
        return self.token_emb(x) + self.pos_emb(ops.arange(0, ops.shape(x)[-1]))

    def get_config(self) -> dict[str, Any]:
        length, vocabulary, width = self.sizes
        sizes = {"length": length, "vocabulary": vocabulary, "width": width}
        return {**super().get_config(), **sizes}


@program
def text_transformer() -> tuple[Any, Any]:
    x = keras.Input((6,), dtype="int32")
    h = TransformerBlock(4, 2)(TokenAndPosition(6, 20, 4)(x))
    h = TransformerBlock(4, 2)(h)
    model = keras.Model(x, L.Dense(2, activation="softmax")(L.GlobalAveragePooling1D()(h)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, tokens(2, 6)


@registered
class Sampling(L.Layer):  # type: ignore[misc,name-defined]
    """Of the VAE, without its noise at inference."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs: Any) -> Any:
        mean, log_var = inputs
        return mean + 0 * ops.exp(0.5 * log_var)


@registered
class VAE(keras.Model):  # type: ignore[misc]
    """Encoder, decoder and trackers; built by a call."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        x = keras.Input((8,))
        h = L.Dense(6, activation="relu")(x)
        mean, var = L.Dense(2, name="z_mean")(h), L.Dense(2, name="z_log_var")(h)
        self.encoder = keras.Model(x, [mean, var, Sampling()([mean, var])], name="encoder")
        z = keras.Input((2,))
        self.decoder = keras.Model(z, L.Dense(8)(L.Dense(6)(z)), name="decoder")
        self.total = keras.metrics.Mean(name="total_loss")
        self.kl = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.total, self.kl]

    def call(self, x: Any) -> Any:
        return self.decoder(self.encoder(x)[2])


@program
def vae() -> tuple[Any, Any]:
    model = VAE()
    model.compile("adam")
    model(floats(2, 8))
    return model, floats(2, 8)


@registered
class ResidualBlocks(keras.Model):  # type: ignore[misc]
    """A subclassed model with lists and dicts of layers."""

    def __init__(self, width: int = 4, **rest: Any) -> None:
        super().__init__(**rest)
        self.width = width
        self.blocks = [L.Dense(width), [L.Dense(width), L.Dense(width)]]
        self.heads = {"b": L.Dense(2), "a": L.Dense(2)}
        self.norm = L.BatchNormalization()

    def call(self, x: Any, training: bool = False) -> Any:
        h = self.norm(self.blocks[0](x), training=training)
        for block in self.blocks[1]:
            h = h + block(h)
        return {name: head(h) for name, head in self.heads.items()}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@program
def lists_and_dicts() -> tuple[Any, Any]:
    model = ResidualBlocks()
    model(floats(2, 4))
    return model, floats(2, 4)


@registered
class TiedHead(L.Layer):  # type: ignore[misc,name-defined]
    """Logits by the transposed embedding of another layer, which it holds."""

    def __init__(self, emb: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.emb = emb

    def build(self, shape: Any) -> None:
        self.b = self.add_weight(shape=(20,), name="b")
        self.built = True

    def call(self, x: Any) -> Any:
        return ops.matmul(x, ops.transpose(self.emb.embeddings)) + self.b

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "emb": keras.saving.serialize_keras_object(self.emb)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(keras.saving.deserialize_keras_object(config.pop("emb")), **config)


@program
def tied_weights() -> tuple[Any, Any]:
    x = keras.Input((5,), dtype="int32")
    emb = L.Embedding(20, 6, name="emb")
    return keras.Model(x, TiedHead(emb)(L.Dense(6)(emb(x)))), tokens(2, 5)


@program
def reversible_embedding() -> tuple[Any, Any]:
    x = keras.Input((5,), dtype="int32")
    emb = L.ReversibleEmbedding(20, 6)
    return keras.Model(x, emb(L.Dense(6)(emb(x)), reverse=True)), tokens(2, 5)


@registered
class VectorQuantizer(L.Layer):  # type: ignore[misc,name-defined]
    """A variable of its own, as in VQ-VAE."""

    def __init__(self, count: int = 5, width: int = 4, **rest: Any) -> None:
        super().__init__(**rest)
        self.count, self.width = count, width
        self.codes = self.add_weight(shape=(width, count), name="codes")
        self.unnamed = self.add_weight(shape=(width,))

    def call(self, x: Any) -> Any:
        index = ops.argmin(-ops.matmul(x, self.codes), axis=1)
        return ops.matmul(ops.one_hot(index, self.count), ops.transpose(self.codes)) + self.unnamed

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count, "width": self.width}


@program
def vq_vae() -> tuple[Any, Any]:
    x = keras.Input((6,))
    return keras.Model(x, L.Dense(6)(VectorQuantizer()(L.Dense(4)(x)))), floats(2, 6)


@registered
class OwnVariables(L.Layer):  # type: ignore[misc,name-defined]
    """Stores and loads its variables itself, under names of its own."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), name="scale", initializer="normal")
        self.shift = self.add_weight(shape=(shape[-1],), name="shift", initializer="normal")

    def call(self, x: Any) -> Any:
        return x * self.scale + self.shift

    def save_own_variables(self, store: Any) -> None:
        store["z_scale"], store["a_shift"] = self.scale, self.shift

    def load_own_variables(self, store: Any) -> None:
        self.scale.assign(store["z_scale"])
        self.shift.assign(store["a_shift"])


@program
def own_variables() -> tuple[Any, Any]:
    x = keras.Input((4,))
    model = keras.Model(x, OwnVariables()(OwnVariables()(L.Dense(4)(x))))
    model.compile("adam", "mse")
    return model, floats(2, 4)


@registered
class Twice(L.Layer):  # type: ignore[misc,name-defined]
    """Holds one sublayer under two attributes."""

    def __init__(self, width: int = 4, **rest: Any) -> None:
        super().__init__(**rest)
        self.width = width
        self.first = L.Dense(width)
        self.second = self.first
        self.third = L.Dense(width)

    def build(self, shape: Any) -> None:
        self.first.build(shape)
        self.third.build((*shape[:-1], self.width))

    def call(self, x: Any) -> Any:
        return self.third(self.second(self.first(x)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@program
def shared_sublayer() -> tuple[Any, Any]:
    x = keras.Input((4,))
    return keras.Model(x, L.Dense(2)(Twice()(x))), floats(2, 4)


@registered
class Wrapped(L.Layer):  # type: ignore[misc,name-defined]
    """Shares a sublayer with the other layer that holds it."""

    def __init__(self, inner: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.inner = inner

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


@program
def two_holders_of_one_layer() -> tuple[Any, Any]:
    x = keras.Input((4,))
    inner = L.Dense(4, name="held")
    return keras.Model(x, Wrapped(inner)(L.Dense(4)(Wrapped(inner)(x)))), floats(2, 4)


@program
def adapted_text() -> tuple[Any, Any]:
    lookup = L.StringLookup(name="words", num_oov_indices=1)
    lookup.adapt(np.array(["cat", "dog", "bird"]))
    x = keras.Input((2,), dtype="string")
    h = L.Embedding(6, 3)(lookup(x))
    return keras.Model(x, L.Dense(2)(L.Flatten()(h))), strings("cat", "bird", "cow", "dog")


def strings(a: str, b: str, c: str, d: str) -> Any:
    """A batch of words."""
    import tensorflow as tf

    return tf.constant([[a, b], [c, d]])


@program
def tf_idf_text() -> tuple[Any, Any]:
    vectorizer = L.TextVectorization(output_mode="tf_idf", name="vectorizer")
    vectorizer.adapt(np.array(["the cat sat", "the dog ran", "a bird"]))
    x = keras.Input((1,), dtype="string")
    words = strings("the cat", "", "a bird ran", "")
    return keras.Model(x, L.Dense(2)(vectorizer(x))), words[:, :1]


@program
def structured_data() -> tuple[Any, Any]:
    norm = L.Normalization(name="norm")
    norm.adapt(floats(20, 3))
    bins = L.Discretization(num_bins=4)
    bins.adapt(floats(20, 1))
    a, b, c = keras.Input((3,)), keras.Input((1,)), keras.Input((1,), dtype="int32")
    parts = [
        norm(a),
        L.CategoryEncoding(5, output_mode="one_hot")(bins(b)),
        L.Flatten()(L.Embedding(5, 2)(L.IntegerLookup(vocabulary=[3, 5, 7])(c))),
    ]
    model = keras.Model([a, b, c], L.Dense(1)(L.Concatenate()(parts)))
    return model, [floats(2, 3), floats(2, 1), np.array([[3], [9]], "int32")]


@program
def hashed_crossing() -> tuple[Any, Any]:
    a, b = keras.Input((1,), dtype="int32"), keras.Input((1,), dtype="int32")
    h = L.HashedCrossing(6, output_mode="one_hot")([a, b])
    return keras.Model([a, b], L.Dense(2)(h)), [tokens(3, 1), tokens(3, 1)]


@program
def augmentation() -> tuple[Any, Any]:
    flips = keras.Sequential([L.RandomFlip(), L.RandomRotation(0.1), L.RandomZoom(0.1)])
    x = keras.Input((8, 8, 3))
    h = L.Conv2D(2, 3)(L.Resizing(6, 6)(L.CenterCrop(7, 7)(flips(x))))
    return keras.Model(x, L.Dense(2)(L.Flatten()(h))), floats(1, 8, 8, 3)


@registered
class GraphConvolution(L.Layer):  # type: ignore[misc,name-defined]
    """Neighbours by a fixed adjacency matrix, and a small network in a Sequential."""

    def __init__(self, units: int = 4, **rest: Any) -> None:
        super().__init__(**rest)
        self.units = units
        self.prepare = keras.Sequential([L.BatchNormalization(), L.Dense(units)])
        self.update = keras.Sequential([L.BatchNormalization(), L.Dense(units)])

    def call(self, x: Any) -> Any:
        neighbours = ops.roll(self.prepare(x), 1, axis=1)
        return self.update(ops.concatenate([x, neighbours], -1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@program
def graph_network() -> tuple[Any, Any]:
    x = keras.Input((5, 3))
    h = GraphConvolution()(x)
    return keras.Model(x, L.Dense(2)(GraphConvolution()(h) + h)), floats(2, 5, 3)


@program
def gan_combined() -> tuple[Any, Any]:
    generator = keras.Sequential([keras.Input((3,)), L.Dense(8), L.LeakyReLU(0.2), L.Dense(6)])
    critic = keras.Sequential([keras.Input((6,)), L.Dense(8), L.Dropout(0.3), L.Dense(1)])
    critic.compile("adam", "binary_crossentropy")
    critic.trainable = False
    z = keras.Input((3,))
    model = keras.Model(z, critic(generator(z)))
    model.compile("adam", "binary_crossentropy")
    return model, floats(2, 3)


@registered
class CycleGan(keras.Model):  # type: ignore[misc]
    """Four networks in attributes, called as a whole."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.gen_g, self.gen_f = self.network("g"), self.network("f")
        self.disc_x, self.disc_y = self.network("x"), self.network("y")

    def network(self, name: str) -> Any:
        return keras.Sequential([keras.Input((4,)), L.Dense(4), L.Dense(4)], name=name)

    def call(self, x: Any) -> Any:
        return self.disc_y(self.gen_g(x)) + self.disc_x(self.gen_f(x))


@program
def cycle_gan() -> tuple[Any, Any]:
    model = CycleGan()
    model(floats(2, 4))
    return model, floats(2, 4)


@program
def text_convnet() -> tuple[Any, Any]:
    x = keras.Input((None,), dtype="int64")
    h = L.Dropout(0.5)(L.Embedding(20, 6)(x))
    h = L.Conv1D(5, 3, padding="valid", activation="relu", strides=2)(h)
    h = L.GlobalMaxPooling1D()(h)
    model = keras.Model(x, L.Dense(1, activation="sigmoid", name="predictions")(h))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model, tokens(2, 9)


@program
def mixed_precision() -> tuple[Any, Any]:
    x = keras.Input((6,))
    h = L.Dense(5, dtype="mixed_bfloat16")(x)
    return keras.Model(x, L.Dense(2, dtype="float32")(h)), floats(2, 6)


@program
def quantised() -> tuple[Any, Any]:
    x = keras.Input((6,))
    model = keras.Model(x, L.Dense(2)(L.EinsumDense("ab,bc->ac", (8,))(x)))
    model.quantize("int8")
    return model, floats(2, 6)


@program
def float8() -> tuple[Any, Any]:
    x = keras.Input((16,))
    model = keras.Model(x, L.Dense(16)(x))
    model.quantize("float8")
    return model, floats(2, 16)


@program
def super_resolution() -> tuple[Any, Any]:
    x = keras.Input((None, None, 1))
    h = L.Conv2D(4, 5, activation="relu", padding="same", kernel_initializer="orthogonal")(x)
    h = L.Conv2D(4, 3, padding="same")(h)
    return keras.Model(x, L.UpSampling2D(2)(h)), floats(1, 6, 6, 1)


@program
def functional_subclass() -> tuple[Any, Any]:
    model = Regressor(4)
    model.compile("adam", "mse")
    return model, floats(2, 6)


@registered
class Regressor(keras.Model):  # type: ignore[misc]
    """A functional model made in a constructor of its own."""

    def __init__(self, width: int, **rest: Any) -> None:
        x = keras.Input((6,))
        super().__init__(inputs=x, outputs=L.Dense(1)(L.Dense(width)(x)), **rest)
        self.width = width

    def get_config(self) -> dict[str, Any]:
        return {"width": self.width, "name": self.name}


@program
def recurrent_dropout_stack() -> tuple[Any, Any]:
    x = keras.Input((5, 4))
    h = L.GRU(4, recurrent_dropout=0.2, return_sequences=True, reset_after=False)(x)
    h = L.LSTM(4, dropout=0.2)(L.ActivityRegularization(0.1)(h))
    return keras.Model(x, L.UnitNormalization()(h)), floats(2, 5, 4)
