"""Public weights-only files whose layout nobody else reads any more, into models of Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kerasguard

keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = [
    pytest.mark.keras,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
Find = Callable[[str], Path]


@pytest.fixture
def find(shared: Path) -> Find:
    """The weights file of a catalogue entry."""

    def look(entry: str) -> Path:
        (path,) = (shared / "fixtures" / "wild").glob(f"{entry}_*/*.h*5")
        return path

    return look


class Constant(layers.Layer):  # type: ignore[misc,name-defined]
    """Stands for a user's layer: it has weights of given shapes and passes its input on."""

    def __init__(self, shapes: list[tuple[int, ...]], names: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.own = [
            self.add_weight(shape=shape, name=name)
            for shape, name in zip(shapes, names, strict=True)
        ]

    def call(self, x: Any) -> Any:
        return x


def loaded(path: Path, model: Any) -> Any:
    for variable in model.weights:
        variable.assign(np.full(variable.shape, np.nan, variable.dtype))
    kerasguard.load(path, model=model)
    assert all(np.isfinite(np.asarray(w)).all() for w in model.weights)
    return model


def block(channels: list[int], inputs: int) -> Any:
    """Convolutions and normalisations in turn, named as Keras 1 named them."""
    parts: list[Any] = [keras.Input((96, 64, inputs))]
    for n, count in enumerate(channels, 1):
        parts.append(layers.Conv2D(count, 3, padding="same", name=f"convolution2d_{n}"))
        parts.append(layers.BatchNormalization(name=f"batchnormalization_{n}"))
    return keras.Sequential(parts, name="ConvBNEluDr")


def tagger(*, dense: bool) -> Any:
    """The architecture of entries 048 and 049 as far as weights go."""
    x = inputs = keras.Input((96, 64, 1))
    shapes = [(512, 1, 1, 257), (512, 1, 1, 257), (257, 96)]
    x = Constant(shapes, ["a", "b", "c"], name="melgram")(x)
    x = block([32] * 5, 1)(x)
    x = layers.GlobalAveragePooling2D(name="flatten_1")(x)
    return keras.Model(inputs, layers.Dense(50, name="dense_1")(x) if dense else x)


def test_theano_and_tensorflow_files_of_one_model_give_one_set_of_kernels(find: Find) -> None:
    theano = loaded(find("048"), tagger(dense=True)).get_layer("ConvBNEluDr")
    tensorflow = loaded(find("049"), tagger(dense=False)).get_layer("ConvBNEluDr")
    kernels = 0
    for a, b in zip(theano.layers, tensorflow.layers, strict=True):
        if isinstance(a, layers.Conv2D):
            np.testing.assert_array_equal(np.asarray(a.kernel), np.asarray(b.kernel))
            kernels += 1
    assert kernels == 5


def test_theano_kernels_are_turned_and_running_std_is_the_variance(find: Find) -> None:
    x = inputs = keras.Input((96, 1366, 1))
    x = layers.BatchNormalization(axis=2, name="bn_0_freq")(x)
    for n, count in enumerate([32, 128, 128, 192, 256], 1):
        x = layers.Conv2D(count, 3, name=f"conv{n}")(x)
        x = layers.BatchNormalization(name=f"bn{n}")(x)
    x = layers.GlobalMaxPooling2D()(x)
    model = loaded(find("046"), keras.Model(inputs, layers.Dense(50, name="output")(x)))
    with h5py.File(find("046")) as file:
        stored = file["conv2/conv2_W"][()]
        variance = file["bn2/bn2_running_std"][()]
    kernel = np.asarray(model.get_layer("conv2").kernel)
    np.testing.assert_array_equal(kernel, stored.transpose(2, 3, 1, 0)[::-1, ::-1])
    np.testing.assert_array_equal(np.asarray(model.get_layer("bn2").moving_variance), variance)


def test_nine_gates_and_kernels_of_tensorflow_with_the_outputs_first(find: Find) -> None:
    x = inputs = keras.Input((96, 1440, 1))
    x = layers.BatchNormalization(axis=2, name="bn_0_freq")(x)
    for n, count in enumerate([64, 128, 128, 128], 1):
        x = layers.Conv2D(count, 3, strides=3, name=f"conv{n}")(x)
        x = layers.BatchNormalization(name=f"bn{n}")(x)
    x = layers.Reshape((-1, 128))(x)
    x = layers.GRU(32, return_sequences=True, reset_after=False, name="gru1")(x)
    x = layers.GRU(32, reset_after=False, name="gru2")(x)
    model = loaded(find("047"), keras.Model(inputs, layers.Dense(50, name="output")(x)))
    with h5py.File(find("047")) as file:
        conv = file["conv2/conv2_W_1:0"][()]
        gates = [file[f"gru2/gru2_U_{gate}:0"][()] for gate in "zrh"]
    kernel = np.asarray(model.get_layer("conv2").kernel)
    np.testing.assert_array_equal(kernel, conv.transpose(2, 3, 1, 0))
    recurrent = np.asarray(model.get_layer("gru2").cell.recurrent_kernel)
    np.testing.assert_array_equal(recurrent, np.hstack(gates))


def cudnn_lstm(x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """What cuDNN computes from its own layout: gates i, f, c, o, each matrix by output row."""
    units = recurrent.shape[0]
    w = [k.reshape(units, -1) for k in np.split(kernel, 4, axis=1)]
    r = [recurrent[:, n * units : (n + 1) * units] for n in range(4)]
    b = bias.reshape(2, 4, units).sum(0)
    h = c = np.zeros(units)
    steps = []
    for step in x:
        i, f, g, o = (w[n] @ step + r[n] @ h + b[n] for n in range(4))
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        steps.append(h)
    return np.array(steps)


def test_cudnn_lstm_computes_the_same_as_an_lstm(find: Find) -> None:
    inputs = keras.Input((40,), dtype="int32", name="input")
    embedded = layers.Embedding(465, 100, name="embedding")(inputs)
    first = layers.LSTM(128, return_sequences=True, name="rnn_1")(embedded)
    second = layers.LSTM(128, return_sequences=True, name="rnn_2")(first)
    joined = layers.Concatenate(name="rnn_concat")([embedded, first, second])
    pooled = layers.GlobalAveragePooling1D()(
        Constant([(356, 1)], ["attention_W"], name="attention")(joined)
    )
    whole = keras.Model(inputs, layers.Dense(465, name="output")(pooled))
    model = keras.Model(inputs, [embedded, first, second])
    loaded(find("037"), whole)
    tokens = np.arange(1, 41, dtype="int32")[None]
    found = [np.asarray(y)[0].astype("f8") for y in model(tokens)]
    with h5py.File(find("037")) as file:
        arrays = {
            name: [
                file[f"{name}/{name}/{part}:0"][()].astype("f8")
                for part in ("kernel", "recurrent_kernel", "bias")
            ]
            for name in ("rnn_1", "rnn_2")
        }
    np.testing.assert_allclose(found[1], cudnn_lstm(found[0], *arrays["rnn_1"]), atol=1e-5)
    np.testing.assert_allclose(found[2], cudnn_lstm(found[1], *arrays["rnn_2"]), atol=1e-5)
