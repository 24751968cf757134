"""Families of imaginary models: small ones of the shapes that people build."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from nets import Call, Inner, Layer, Net, net

__all__ = ["FAMILIES", "NAMINGS", "bases", "named"]


class _Draft:
    """Collects layers; returns what they put out."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def __call__(self, uid: str, cls: str, *sources: str, **config: Any) -> str:
        """Make a layer and call it on `sources`; a source `u@1` is the second call of `u`."""
        calls = (tuple(_call(s) for s in sources),) if sources else ()
        self.layers.append(Layer(uid, cls, config, calls))
        return uid

    def again(self, uid: str, *sources: str) -> str:
        """Call a layer once more."""
        at = next(i for i, layer in enumerate(self.layers) if layer.uid == uid)
        layer = self.layers[at]
        calls = (*layer.calls, tuple(_call(s) for s in sources))
        self.layers[at] = replace(layer, calls=calls)
        return f"{uid}@{len(calls) - 1}"

    def net(self, *outputs: str, **rest: Any) -> Net:
        """The model."""
        of = net(*self.layers, outputs=tuple(o.partition("@")[0] for o in outputs))
        return replace(of, outputs=tuple(_call(o) for o in outputs), **rest)


def _call(text: str) -> Call:
    uid, _, number = text.partition("@")
    return uid, int(number or 0)


def perceptron() -> Net:
    """Dense layers of one width in a row, told apart by their activations only in part."""
    d = _Draft()
    x = d("in", "Input", shape=(6,))
    for i, activation in enumerate(("relu", "tanh", "relu", "gelu")):
        x = d(f"hidden{i}", "Dense", x, units=6, activation=activation)
    return d.net(d("head", "Dense", x, units=3))


def funnel() -> Net:
    """Dense layers that get narrower: every shape occurs once."""
    d = _Draft()
    x = d("in", "Input", shape=(9,))
    for i, units in enumerate((8, 7, 6, 5)):
        x = d(f"layer{i}", "Dense", x, units=units, activation="relu")
        x = d(f"drop{i}", "Dropout", x, rate=0.1)
    return d.net(d("out", "Dense", x, units=2))


def convolutional() -> Net:
    """Convolution, normalisation, activation, pooling, as in VGG."""
    d = _Draft()
    x = d("image", "Input", shape=(8, 8, 3))
    for i, filters in enumerate((4, 4, 6, 6)):
        x = d(f"conv{i}", "Conv2D", x, filters=filters, kernel_size=3, padding="same")
        x = d(f"norm{i}", "BatchNormalization", x)
        x = d(f"act{i}", "ReLU", x)
        if i == 1:
            x = d("pool", "MaxPooling2D", x)
    x = d("gap", "GlobalAveragePooling2D", x)
    return d.net(d("classes", "Dense", x, units=5))


def residual() -> Net:
    """Blocks with skip connections, all alike."""
    d = _Draft()
    x = d("image", "Input", shape=(4, 4, 3))
    x = d("stem", "Conv2D", x, filters=4, kernel_size=3, padding="same")
    for i in range(3):
        y = d(f"a{i}", "Conv2D", x, filters=4, kernel_size=3, padding="same", activation="relu")
        y = d(f"n{i}", "BatchNormalization", y)
        y = d(f"b{i}", "Conv2D", y, filters=4, kernel_size=1, padding="same")
        x = d(f"add{i}", "Add", x, y)
    x = d("gap", "GlobalAveragePooling2D", x)
    return d.net(d("head", "Dense", x, units=3))


def two_towers() -> Net:
    """Two inputs through equal towers, joined by a concatenation."""
    d = _Draft()
    ends = []
    for side in ("left", "right"):
        x = d(side, "Input", shape=(5,))
        x = d(f"{side}_a", "Dense", x, units=5, activation="relu")
        ends.append(d(f"{side}_b", "Dense", x, units=5, activation="tanh"))
    x = d("join", "Concatenate", *ends)
    x = d("mix", "Dense", x, units=5, activation="relu")
    return d.net(d("score", "Dense", x, units=1))


def siamese() -> Net:
    """One encoder called on two inputs."""
    d = _Draft()
    a, b = d("one", "Input", shape=(6,)), d("two", "Input", shape=(6,))
    x = d("encode", "Dense", a, units=6, activation="relu")
    x = d("project", "Dense", x, units=6)
    y = d.again("encode", b)
    y = d.again("project", y)
    x = d("pair", "Concatenate", x, y)
    x = d("compare", "Dense", x, units=6, activation="relu")
    return d.net(d("same", "Dense", x, units=1))


def recurrent() -> Net:
    """Text: embedding, recurrent layers, a head."""
    d = _Draft()
    x = d("tokens", "Input", shape=(7,), dtype="int32")
    x = d("words", "Embedding", x, input_dim=11, output_dim=4)
    x = d("first", "LSTM", x, units=4, return_sequences=True)
    x = d("second", "LSTM", x, units=4, return_sequences=True)
    x = d("third", "GRU", x, units=4)
    return d.net(d("label", "Dense", x, units=2))


def autoencoder() -> Net:
    """Down and up again, the same widths twice."""
    d = _Draft()
    x = d("in", "Input", shape=(8,))
    for i, units in enumerate((6, 4, 2)):
        x = d(f"down{i}", "Dense", x, units=units, activation="relu")
    for i, units in enumerate((4, 6)):
        x = d(f"up{i}", "Dense", x, units=units, activation="relu")
    return d.net(d("rebuilt", "Dense", x, units=8))


def transformer() -> Net:
    """Attention and feed-forward blocks with residual connections."""
    d = _Draft()
    x = d("tokens", "Input", shape=(5,), dtype="int32")
    x = d("embed", "Embedding", x, input_dim=9, output_dim=4)
    for i in range(2):
        n = d(f"ln_a{i}", "LayerNormalization", x)
        y = d(f"attention{i}", "MultiHeadAttention", n, n, num_heads=2, key_dim=2)
        x = d(f"res_a{i}", "Add", x, y)
        n = d(f"ln_b{i}", "LayerNormalization", x)
        y = d(f"up{i}", "Dense", n, units=8, activation="gelu")
        y = d(f"down{i}", "Dense", y, units=4)
        x = d(f"res_b{i}", "Add", x, y)
    x = d("final", "LayerNormalization", x)
    x = d("gap", "GlobalAveragePooling1D", x)
    return d.net(d("head", "Dense", x, units=3))


def heads() -> Net:
    """One trunk, three outputs of the same width."""
    d = _Draft()
    x = d("in", "Input", shape=(6,))
    x = d("trunk", "Dense", x, units=6, activation="relu")
    x = d("norm", "BatchNormalization", x)
    ends = [d(f"task{i}", "Dense", x, units=3) for i in range(3)]
    return d.net(*ends)


def skips() -> Net:
    """Down, up, and the way across, as in U-Net."""
    d = _Draft()
    x = d("image", "Input", shape=(8, 8, 2))
    a = d("enc0", "Conv2D", x, filters=4, kernel_size=3, padding="same", activation="relu")
    x = d("down0", "MaxPooling2D", a)
    b = d("enc1", "Conv2D", x, filters=6, kernel_size=3, padding="same", activation="relu")
    x = d("down1", "MaxPooling2D", b)
    x = d("deep", "Conv2D", x, filters=6, kernel_size=3, padding="same", activation="relu")
    x = d("up1", "UpSampling2D", x)
    x = d("cat1", "Concatenate", x, b)
    x = d("dec1", "Conv2D", x, filters=4, kernel_size=3, padding="same", activation="relu")
    x = d("up0", "UpSampling2D", x)
    x = d("cat0", "Concatenate", x, a)
    x = d("dec0", "Conv2D", x, filters=4, kernel_size=3, padding="same", activation="relu")
    return d.net(d("mask", "Conv2D", x, filters=1, kernel_size=1, padding="same"))


def mobile() -> Net:
    """Depthwise and pointwise convolutions in turn."""
    d = _Draft()
    x = d("image", "Input", shape=(4, 4, 4))
    for i in range(3):
        x = d(f"dw{i}", "DepthwiseConv2D", x, kernel_size=3, padding="same")
        x = d(f"bn{i}", "BatchNormalization", x, center=True, scale=False)
        x = d(f"pw{i}", "Conv2D", x, filters=4, kernel_size=1, padding="same", activation="relu")
    x = d("gap", "GlobalAveragePooling2D", x)
    return d.net(d("head", "Dense", x, units=2))


def tabular() -> Net:
    """Columns with an embedding each, two of the same size, and numbers."""
    d = _Draft()
    parts = []
    for column, size in (("city", 7), ("shop", 7), ("item", 9)):
        x = d(column, "Input", shape=(1,), dtype="int32")
        x = d(f"{column}_vectors", "Embedding", x, input_dim=size, output_dim=3)
        parts.append(d(f"{column}_flat", "Flatten", x))
    parts.append(d("numbers", "Input", shape=(4,)))
    x = d("all", "Concatenate", *parts)
    x = d("wide", "Dense", x, units=6, activation="relu")
    x = d("deep", "Dense", x, units=6, activation="relu")
    return d.net(d("price", "Dense", x, units=1))


def nested() -> Net:
    """An encoder that is a model of its own, and a head on it."""
    d = _Draft()
    x = d("in", "Input", shape=(6,))
    x = d("stem", "Dense", x, units=5, activation="relu")
    x = d("e0", "Dense", x, units=5, activation="relu")
    x = d("e1", "Dense", x, units=5, activation="tanh")
    x = d("e2", "LayerNormalization", x)
    x = d("neck", "Dense", x, units=4)
    return d.net(d("head", "Dense", x, units=2), inner=(Inner("encoder", ("e0", "e1", "e2")),))


def parallel() -> Net:
    """Convolutions of several sizes side by side, as in Inception; two of them alike."""
    d = _Draft()
    x = d("signal", "Input", shape=(9, 3))
    ends = [
        d(f"branch{i}", "Conv1D", x, filters=3, kernel_size=size, padding="same")
        for i, size in enumerate((1, 3, 3, 5))
    ]
    x = d("stack", "Concatenate", *ends)
    x = d("point", "Conv1D", x, filters=3, kernel_size=1, padding="same")
    x = d("gap", "GlobalAveragePooling1D", x)
    return d.net(d("head", "Dense", x, units=2))


FAMILIES: dict[str, Callable[[], Net]] = {
    f.__name__: f
    for f in (
        perceptron,
        funnel,
        convolutional,
        residual,
        two_towers,
        siamese,
        recurrent,
        autoencoder,
        transformer,
        heads,
        skips,
        mobile,
        tabular,
        nested,
        parallel,
    )
}
# Who gave the names: a person all of them, Keras all of them, or a person every second one; inputs
# have names of their own in the last two kinds only where `inputs` says so.
NAMINGS = ("given", "made up", "mixed", "inputs")


def named(of: Net, naming: str) -> Net:
    """The net with names given to all, none or some of its layers."""
    layers = []
    for rank, layer in enumerate(of.layers):
        given = (
            naming == "given"
            or (naming == "mixed" and rank % 2 == 0)
            or (naming == "inputs" and layer.cls == "Input")
        )
        layers.append(replace(layer, name=f"my_{layer.uid}" if given else ""))
    inner = tuple(
        replace(i, name=f"my_{i.uid}" if naming in ("given", "mixed") else "") for i in of.inner
    )
    return replace(of, layers=tuple(layers), inner=inner)


def bases() -> Iterator[tuple[str, str, Net]]:
    """Family, naming and net, all combinations."""
    for family, make in FAMILIES.items():
        for naming in NAMINGS:
            yield family, naming, named(make(), naming)
