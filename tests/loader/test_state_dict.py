"""State dicts of PyTorch into Keras models: what PyTorch computed with them is computed here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import kerasguard as kg
from kerasguard.errors import ArgumentError, CheckpointError, UnrepairableError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras
L = keras.layers
State = dict[str, Any]
CONV = {"padding": "same", "use_bias": False}
NORM = {"epsilon": 1e-5}


def lenet() -> Any:
    return keras.Sequential(
        [
            keras.Input((10, 8, 3)),
            L.Conv2D(4, 3, padding="same", name="conv1"),
            L.BatchNormalization(name="bn1", **NORM),
            L.ReLU(),
            L.MaxPooling2D(),
            L.Conv2D(6, 3, activation="relu", name="conv2"),
            L.Flatten(),
            L.Dense(10, name="fc1"),
            L.BatchNormalization(name="norm", **NORM),
            L.ReLU(),
            L.Dense(3, name="fc2"),
        ]
    )


def resnet() -> Any:
    def normalised(x: Any, name: str) -> Any:
        return L.BatchNormalization(name=name, **NORM)(x)

    def padded(x: Any, filters: int, size: int, strides: int, name: str) -> Any:
        x = L.ZeroPadding2D(size // 2)(x)
        return L.Conv2D(filters, size, strides, use_bias=False, name=name)(x)

    def block(x: Any, filters: int, strides: int, name: str) -> Any:
        short = x
        if strides > 1:
            short = L.Conv2D(filters, 1, strides, use_bias=False, name=f"{name}.downsample.0")(x)
            short = normalised(short, f"{name}.downsample.1")
        y = L.ReLU()(normalised(padded(x, filters, 3, strides, f"{name}.conv1"), f"{name}.bn1"))
        y = normalised(padded(y, filters, 3, 1, f"{name}.conv2"), f"{name}.bn2")
        return L.ReLU()(L.Add()([y, short]))

    inputs = keras.Input((32, 32, 3))
    x = L.ReLU()(normalised(padded(inputs, 4, 7, 2, "conv1"), "bn1"))
    x = L.MaxPooling2D(3, 2)(L.ZeroPadding2D(1)(x))
    for name, filters, strides in (("1.0", 4, 1), ("1.1", 4, 1), ("2.0", 8, 2), ("2.1", 8, 1)):
        x = block(x, filters, strides, f"layer{name}")
    return keras.Model(inputs, L.Dense(5, name="fc")(L.GlobalAveragePooling2D()(x)))


def separable() -> Any:
    return keras.Sequential(
        [
            keras.Input((6, 5, 4)),
            L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise"),
            L.PReLU(shared_axes=[1, 2], name="slope"),
            L.Dense(6, name="pointwise"),
            L.Conv2D(8, 3, groups=2, use_bias=False, name="grouped"),
            L.GroupNormalization(4, name="norm", **NORM),
            L.Conv2D(5, 1, name="mixing"),
        ]
    )


def volume() -> Any:
    return keras.Sequential(
        [
            keras.Input((4, 4, 3, 2)),
            L.Conv3D(3, (3, 2, 2), name="conv3d"),
            L.Conv3DTranspose(2, 2, 2, name="up"),
            L.Reshape((-1, 2)),
            L.Conv1D(4, 3, dilation_rate=2, name="conv1d"),
            L.Conv1DTranspose(3, 4, 3, name="up1d"),
        ]
    )


def generator() -> Any:
    return keras.Sequential(
        [
            keras.Input((5,)),
            L.Dense(36, name="project"),
            L.BatchNormalization(name="bn", **NORM),
            L.ReLU(),
            L.Reshape((3, 2, 6)),
            L.Conv2DTranspose(4, 4, 2, padding="same", activation="relu", name="up1"),
            L.Conv2DTranspose(3, 3, 2, name="up2"),
        ]
    )


def tagger() -> Any:
    def both(name: str) -> Any:
        return L.Bidirectional(L.LSTM(5, return_sequences=True), name=name)

    words = L.Embedding(11, 6, name="words")
    tags = L.Dense(4, name="tags")
    inputs = keras.Input((5,), dtype="int32")
    return keras.Model(inputs, tags(both("lstm_l1")(both("lstm_l0")(words(inputs)))))


def recurrent() -> Any:
    return keras.Sequential(
        [
            keras.Input((4, 3)),
            L.GRU(5, return_sequences=True),
            L.SimpleRNN(4, return_sequences=True),
            L.LSTM(6, return_sequences=True, use_bias=False),
        ]
    )


def transformer() -> Any:
    x = inputs = keras.Input((4, 8))
    for name in ("encoder.layers.0", "encoder.layers.1"):
        y = L.MultiHeadAttention(2, 4, name=f"{name}.self_attn")(x, x)
        x = L.LayerNormalization(name=f"{name}.norm1", **NORM)(L.Add()([x, y]))
        y = L.Dense(12, activation="gelu", name=f"{name}.linear1")(x)
        y = L.Dense(8, name=f"{name}.linear2")(y)
        x = L.LayerNormalization(name=f"{name}.norm2", **NORM)(L.Add()([x, y]))
    return keras.Model(inputs, L.LayerNormalization(name="norm", **NORM)(x))


def perceptron() -> Any:
    layers = [L.Dense(6, activation="tanh") for _ in range(4)]
    return keras.Sequential([keras.Input((6,)), *layers, L.Dense(2)])


def vgg() -> Any:
    def convolved() -> list[Any]:
        return [L.Conv2D(4, 3), L.BatchNormalization(**NORM), L.ReLU()]

    ends = [L.Dense(4, activation="relu"), L.Dense(4, activation="relu"), L.Dense(4)]
    middle = [*convolved(), *convolved(), L.AveragePooling2D(2), L.Flatten()]
    return keras.Sequential([keras.Input((8, 8, 3)), *middle, *ends])


def autoencoder() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 6, 1)),
            L.ZeroPadding2D(1),
            L.Conv2D(4, 3, 2, activation="relu", name="down"),
            L.Flatten(),
            L.Dense(5, name="encode"),
            L.Dense(48, name="decode"),
            L.Reshape((4, 3, 4)),
            L.Conv2DTranspose(1, 4, 2, padding="same", name="up"),
        ]
    )


def cross() -> Any:
    inputs = keras.Input((3, 8))
    attention = L.MultiHeadAttention(4, 2, name="attention")
    x = attention(inputs, inputs[:, :, :6], key=inputs[:, :, :5])
    return keras.Model(inputs, L.RNN(L.LSTMCell(3, name="cell"))(x))


NETS: dict[str, Callable[[], Any]] = {
    "autoencoder": autoencoder,
    "cross": cross,
    "generator": generator,
    "lenet": lenet,
    "perceptron": perceptron,
    "recurrent": recurrent,
    "resnet": resnet,
    "separable": separable,
    "tagger": tagger,
    "transformer": transformer,
    "vgg": vgg,
    "volume": volume,
}


@pytest.fixture
def written(repository: Path) -> Callable[[str], tuple[State, Any, Any]]:
    def found(name: str) -> tuple[State, Any, Any]:
        path = repository / f"tests/golden/pytorch/torch2.13.0/{name}.npz"
        with np.load(path) as arrays:
            state = {key: arrays[key] for key in arrays.files}
        return state, state.pop(":input"), state.pop(":output")

    return found


Written = Callable[[str], tuple[State, Any, Any]]


@pytest.mark.parametrize("name", NETS)
def test_a_model_computes_what_pytorch_did(written: Written, tmp_path: Path, name: str) -> None:
    state, given, expected = written(name)
    np.savez(tmp_path / "net.npz", **state)
    model = NETS[name]()
    if given.ndim > 3:
        given = np.moveaxis(given, 1, -1)
    with kg.read(tmp_path / "net.npz", layout="torch") as arrays:
        report = kg.restore(arrays, model).report
    assert report.ok
    assert not [f for f in report.findings if f.severity is not kg.Severity.INFO]
    found = model.predict(given, verbose=0)
    if name == "separable":
        assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


def random(**shapes: tuple[int, ...]) -> State:
    """Arrays by name; `__` stands for the dot between levels."""
    rng = np.random.default_rng(0)
    return {k.replace("__", "."): rng.normal(size=s).astype("f4") for k, s in shapes.items()}


def loaded(state: State, model: Any, **options: Any) -> Any:
    return kg.load(kg.read(state, layout="torch"), model, **options)


def refused(state: State, model: Any, match: str, **options: Any) -> str:
    before = [v.numpy().tobytes() for v in model.weights]
    with pytest.raises(UnrepairableError, match=match) as caught:
        loaded(state, model, **options)
    assert [v.numpy().tobytes() for v in model.weights] == before
    return str(caught.value)


def dense(*names: str, **options: Any) -> Any:
    layers = [L.Dense(4, name=name, **options) for name in names]
    return keras.Sequential([keras.Input((4,)), *layers])


SQUARE = {"a__weight": (4, 4), "a__bias": (4,), "b__weight": (4, 4), "b__bias": (4,)}


@pytest.mark.parametrize(
    "renames",
    [
        {"a": "second", "b": "first"},
        {re.compile("^a$"): "second", re.compile("^b$"): "first"},
        lambda name: {"a": "second", "b": "first"}[name],
    ],
)
def test_names_decide_between_modules_of_the_same_shapes(renames: Any) -> None:
    state, model = random(**SQUARE), dense("first", "second")
    message = refused(state, model, r'KG105 first: .* \(a, b\).*renames=\{"a": "first"\}')
    assert "KG101" not in message
    loaded(state, model, renames=renames)
    for module, layer in (("a", "second"), ("b", "first")):
        kernel, bias = model.get_layer(layer).get_weights()
        np.testing.assert_array_equal(kernel, state[f"{module}.weight"].T)
        np.testing.assert_array_equal(bias, state[f"{module}.bias"])


def test_a_guess_takes_the_order_of_the_state_dict() -> None:
    state, model = random(**SQUARE), dense("first", "second")
    loaded(state, model, repair="guess")
    np.testing.assert_array_equal(model.get_layer("first").kernel, state["a.weight"].T)


def test_numbers_decide_nothing_where_layers_are_called_beside_each_other() -> None:
    state = random(net__0__weight=(4, 4), net__1__weight=(4, 4))
    inputs = keras.Input((4,))
    sides = [L.Dense(4, use_bias=False, name=name)(inputs) for name in ("left", "right")]
    refused(state, keras.Model(inputs, L.Add()(sides)), "KG105 left")
    model = dense("first", "second", use_bias=False)
    loaded(state, model)
    np.testing.assert_array_equal(model.get_layer("second").kernel, state["net.1.weight"].T)
    back = {name: state[name] for name in reversed(state)}
    refused(back, dense("first", "second", use_bias=False), "KG105 first")


def test_a_prefix_that_all_modules_share_is_no_part_of_their_names() -> None:
    state = {f"module.{name}": array for name, array in random(**SQUARE).items()}
    model = dense("b", "a")
    loaded(state, model)
    np.testing.assert_array_equal(model.get_layer("a").kernel, state["module.a.weight"].T)


def test_safetensors_and_other_dtypes(tmp_path: Path) -> None:
    state = {name: array.astype("f2") for name, array in random(**SQUARE).items()}
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file(state, path)
    model = dense("b", "a")
    with kg.read(path, layout="torch") as arrays:
        assert set(arrays) == set(state)
        np.testing.assert_array_equal(arrays["a.weight"], state["a.weight"])
        kg.load(arrays, model)
    np.testing.assert_array_equal(model.get_layer("a").kernel, state["a.weight"].T)
    double = {name: array.astype("f8") + 1e-12 for name, array in random(**SQUARE).items()}
    refused(double, model, "KG202")
    loaded(double, model, repair="lossy")


def test_a_file_that_was_recorded_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file(random(**SQUARE), path)
    kg.record(path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with kg.read(path, layout="torch") as arrays, pytest.raises(CheckpointError, match="recorded"):
        kg.load(arrays, dense("a", "b"))


def test_all_but_a_new_head() -> None:
    state = random(body__weight=(4, 4), body__bias=(4,), head__weight=(9, 4), head__bias=(9,))
    message = refused(state, dense("body", "head"), r"KG203 head/kernel: shape is \(4, 9\)")
    assert 'skip=["head"]' in message
    model = dense("body", "head")
    kept = model.get_layer("head").get_weights()[0].copy()
    loaded(state, model, skip=["head"])
    np.testing.assert_array_equal(model.get_layer("body").kernel, state["body.weight"].T)
    np.testing.assert_array_equal(model.get_layer("head").kernel, kept)
    model = dense("body", "head")
    loaded(state, model, only=["body"])
    np.testing.assert_array_equal(model.get_layer("body").kernel, state["body.weight"].T)


def test_a_bias_that_the_module_has_not_may_stay_as_it_is() -> None:
    state, model = random(a__weight=(4, 4), b__weight=(4, 4), b__bias=(4,)), dense("a", "b")
    loaded(state, model, skip=["a/bias"])
    np.testing.assert_array_equal(model.get_layer("a").kernel, state["a.weight"].T)
    assert not np.asarray(model.get_layer("a").bias).any()


GRU = {"gru__weight_ih_l0": (12, 3), "gru__weight_hh_l0": (12, 4)}
BOTH = {"gru__bias_ih_l0": (12,), "gru__bias_hh_l0": (12,)}


def one(layer: Any, *shape: int) -> Any:
    return keras.Sequential([keras.Input(shape), layer])


UNLIKE: dict[str, tuple[State, Callable[[], Any], str]] = {
    "reset before the product": (
        {**GRU, **BOTH},
        lambda: one(L.GRU(4, reset_after=False, name="gru"), 5, 3),
        "KG210 gru.*reset_after=True",
    ),
    "reset before the product, without biases": (
        GRU,
        lambda: one(L.GRU(4, reset_after=False, use_bias=False, name="gru"), 5, 3),
        "KG210 gru.*reset_after=True",
    ),
    "another function": (
        {**GRU, **BOTH},
        lambda: one(L.GRU(4, recurrent_activation="hard_sigmoid", name="gru"), 5, 3),
        "KG210 gru: nn.GRU computes with sigmoid, the layer .*'hard_sigmoid'",
    ),
    "no biases": (GRU, lambda: one(L.GRU(4, name="gru"), 5, 3), "KG210 gru.*use_bias=False"),
    "one direction": (
        {**GRU, **BOTH},
        lambda: one(L.Bidirectional(L.GRU(4), name="gru"), 5, 3),
        "KG210 gru.*one direction, and the layer two",
    ),
    "projections": (
        {
            "lstm__weight_ih_l0": (16, 3),
            "lstm__weight_hh_l0": (16, 2),
            "lstm__weight_hr_l0": (2, 4),
        },
        lambda: one(L.LSTM(4, use_bias=False, name="lstm"), 5, 3),
        "KG210 lstm.*proj_size",
    ),
    "no bias": (
        {"fc__weight": (4, 3)},
        lambda: one(L.Dense(4, name="fc"), 3),
        r'KG210 fc and fc in the state dict.*use_bias=False, or skip=\["fc/bias"\] if it is zero',
    ),
    "no scale": (
        {"norm__running_mean": (3,), "norm__running_var": (3,)},
        lambda: one(L.BatchNormalization(name="norm"), 3),
        "KG210 norm.*center=False, scale=False",
    ),
    "several axes": (
        {"norm__weight": (5, 3), "norm__bias": (5, 3)},
        lambda: one(L.LayerNormalization(axis=[1, 2], name="norm"), 5, 3),
        "KG210 norm.*several axes",
    ),
    "no such module": (
        {"conv__weight": (4, 3, 3, 3), "conv__bias": (4,)},
        lambda: one(L.SeparableConv2D(4, 3, name="conv"), 8, 8, 3),
        "KG210 conv.*PyTorch has no module with the arrays of a SeparableConv2D",
    ),
    "other sizes": (
        {
            "attention__in_proj_weight": (24, 8),
            "attention__in_proj_bias": (24,),
            "attention__out_proj__weight": (8, 8),
            "attention__out_proj__bias": (8,),
        },
        lambda: attentive(heads=2, size=3),
        "KG203 attention",
    ),
    "another multiplier": (
        {"conv__weight": (8, 1, 3, 3), "conv__bias": (8,)},
        lambda: one(L.DepthwiseConv2D(3, depth_multiplier=3, name="conv"), 8, 8, 4),
        "KG203 conv",
    ),
}


def attentive(heads: int, size: int) -> Any:
    inputs = keras.Input((5, 8))
    layer = L.MultiHeadAttention(heads, size, name="attention")
    return keras.Model(inputs, layer(inputs, inputs))


@pytest.mark.parametrize("case", UNLIKE)
def test_what_no_module_computes_is_refused_with_what_to_build(case: str) -> None:
    shapes, build, match = UNLIKE[case]
    message = refused(random(**shapes), build(), match)
    assert "KG101" not in message
    assert "skip=" in message


class Net(keras.Model if keras else object):  # type: ignore[misc]
    """A model without a graph."""

    def __init__(self, *, flat: bool) -> None:
        super().__init__()
        self.conv = L.Conv2D(4, 3, name="conv")
        self.flat = L.Flatten() if flat else L.GlobalAveragePooling2D()
        self.fc = L.Dense(2, name="fc")

    def call(self, x: Any) -> Any:
        return self.fc(self.flat(self.conv(x)))


def test_rows_behind_a_flatten_without_a_graph_are_a_guess() -> None:
    state = random(conv__weight=(4, 3, 3, 3), conv__bias=(4,), fc__weight=(2, 4), fc__bias=(2,))
    model = Net(flat=False)
    model(np.zeros((1, 6, 6, 3), "float32"))
    refused(state, model, "KG208 fc/kernel.*functional")
    loaded(state, model, repair="guess")
    np.testing.assert_array_equal(model.fc.kernel, state["fc.weight"].T)


def test_an_image_that_is_flattened_at_once() -> None:
    state = random(fc__weight=(2, 90), fc__bias=(2,))

    def flat(*shape: int) -> Any:
        return keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(2, name="fc")])

    image = np.random.default_rng(0).normal(size=(1, 3, 5, 6)).astype("f4")
    expected = image.reshape(1, -1) @ state["fc.weight"].T + state["fc.bias"]
    last = loaded(state, flat(5, 6, 3)).predict(np.moveaxis(image, 1, -1), verbose=0)
    np.testing.assert_allclose(last, expected, rtol=1e-5)
    first = loaded(state, flat(3, 5, 6)).predict(image, verbose=0)
    np.testing.assert_allclose(first, expected, rtol=1e-5)
    refused(random(fc__weight=(2, 125), fc__bias=(2,)), flat(5, 5, 5), "KG208 fc/kernel")


def test_defaults_that_differ_are_told() -> None:
    state = random(conv__weight=(4, 3, 3, 3), conv__bias=(4,), norm__weight=(4,), norm__bias=(4,))
    state |= random(norm__running_mean=(4,), norm__running_var=(4,))

    def warnings(size: int, **options: Any) -> list[str]:
        model = keras.Sequential(
            [
                keras.Input((size, size, 3)),
                L.Conv2D(4, 3, 2, padding="same", name="conv"),
                L.BatchNormalization(name="norm", **options),
            ]
        )
        plan = kg.plan(kg.read(state, layout="torch"), model)
        assert plan.total
        return [f.message for f in plan.findings if f.code == "KG211"]

    told = warnings(8)
    assert len(told) == 2
    assert told[0].startswith("norm: epsilon is 0.001")
    assert told[1].startswith("conv: with strides and padding='same'")
    assert warnings(9, epsilon=1e-5) == []


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    model = dense("a", "b")
    model.save_weights(tmp_path / "m.weights.h5")
    np.savez(tmp_path / "list.npz", *model.get_weights())
    for name in ("m.weights.h5", "list.npz"):
        with pytest.raises(CheckpointError, match='layout="torch" is for arrays named as'):
            kg.read(tmp_path / name, layout="torch")
    wrong: Callable[..., Any] = kg.read
    with pytest.raises(ArgumentError, match="allowed: None, 'torch'"):
        wrong(tmp_path / "list.npz", layout="pytorch")


def test_the_mean_of_state_dicts_is_one() -> None:
    states = [random(**SQUARE), {name: array + 1 for name, array in random(**SQUARE).items()}]
    model = dense("a", "b")
    with kg.average([kg.read(state, layout="torch") for state in states]) as mean:
        kg.load(mean, model)
    np.testing.assert_allclose(model.get_layer("b").kernel, states[0]["b.weight"].T + 0.5, 1e-6)


def test_a_state_dict_becomes_a_keras_file(tmp_path: Path) -> None:
    state, model = random(**SQUARE), dense("a", "b")
    kg.convert(kg.read(state, layout="torch"), tmp_path / "m.keras", model)
    again = kg.load(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.get_layer("b").kernel, state["b.weight"].T)
    config = kg.load(kg.read(state, layout="torch"), config=model.to_json())
    np.testing.assert_array_equal(config.get_layer("b").kernel, state["b.weight"].T)


def _behind(*layers: Any, shape: tuple[int | None, ...] = (6, 6, 3)) -> Any:
    x = inputs = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


class Block(L.Layer if keras else object):  # type: ignore[misc]
    """A part of a network whose graph nobody knows."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.conv = L.Conv2D(4, 3, padding="same", name="conv")
        self.mix = L.Dense(4, name="mix")

    def build(self, shape: Any) -> None:
        self.conv.build(shape)
        self.mix.build((*shape[:-1], 4))
        self.built = True

    def call(self, x: Any) -> Any:
        return self.mix(self.conv(x))


CONVOLVED = {"c__weight": (4, 3, 3, 3), "c__bias": (4,)}
FLAT = {"f__weight": (2, 64), "f__bias": (2,)}
POOLED = {"f__weight": (2, 4), "f__bias": (2,)}
SHAPED = {"f__weight": (48, 5), "f__bias": (48,), "t__weight": (3, 4, 3, 3), "t__bias": (4,)}
BLOCK = {
    "b__conv__weight": (4, 3, 3, 3),
    "b__conv__bias": (4,),
    "b__mix__weight": (4, 4),
    "b__mix__bias": (4,),
}


def _conv() -> Any:
    return L.Conv2D(4, 3, name="c")


def _flat(*shape: int) -> Any:
    return L.Lambda(lambda x: keras.ops.reshape(x, (-1, *shape)), output_shape=shape)


def _two_ends() -> Any:
    inputs = keras.Input((5,))
    x = L.Dense(48, name="f")(inputs)
    return keras.Model(inputs, [L.Conv2DTranspose(4, 3, name="t")(L.Reshape((4, 4, 3))(x)), x])


# Arrays, model, and whether rows or columns of `f` are as they are, permuted, or not known.
ORDERS: dict[str, tuple[State, Callable[[], Any], str]] = {
    "an operation flattens": (
        {**CONVOLVED, **FLAT},
        lambda: _behind(_conv(), lambda x: keras.ops.reshape(x, (-1, 64)), L.Dense(2, name="f")),
        "rows",
    ),
    "an operation averages": (
        {**CONVOLVED, **POOLED},
        lambda: _behind(_conv(), lambda x: keras.ops.mean(x, (1, 2)), L.Dense(2, name="f")),
        "same",
    ),
    "an image of any size": (
        {**CONVOLVED, **POOLED},
        lambda: _behind(
            _conv(), L.GlobalAveragePooling2D(), L.Dense(2, name="f"), shape=(None, None, 3)
        ),
        "same",
    ),
    "a Lambda flattens": (
        {**CONVOLVED, **FLAT},
        lambda: _behind(_conv(), _flat(64), L.Dense(2, name="f")),
        "unknown",
    ),
    "a block of one's own": (
        {**BLOCK, "f__weight": (2, 144), "f__bias": (2,)},
        lambda: _behind(Block(name="b"), L.Flatten(), L.Dense(2, name="f")),
        "rows",
    ),
    "a row of places": (
        {**CONVOLVED, **FLAT},
        lambda: _behind(_conv(), L.Reshape((16, 4)), L.Flatten(), L.Dense(2, name="f")),
        "unknown",
    ),
    "normalised by channels": (
        {**CONVOLVED, **FLAT, "n__weight": (4,), "n__bias": (4,)},
        lambda: _behind(
            _conv(), L.LayerNormalization(name="n", **NORM), L.Flatten(), L.Dense(2, name="f")
        ),
        "rows",
    ),
    "an image out of a vector": (
        SHAPED,
        lambda: _behind(
            L.Dense(48, name="f"),
            L.Reshape((4, 4, 3)),
            L.Conv2DTranspose(4, 3, name="t"),
            shape=(5,),
        ),
        "columns",
    ),
    "by a Lambda": (
        SHAPED,
        lambda: _behind(
            L.Dense(48, name="f"), _flat(4, 4, 3), L.Conv2DTranspose(4, 3, name="t"), shape=(5,)
        ),
        "unknown",
    ),
    "with nothing behind": (
        {"f__weight": (48, 5), "f__bias": (48,)},
        lambda: _behind(L.Dense(48, name="f"), L.Reshape((4, 4, 3)), shape=(5,)),
        "unknown",
    ),
    "of one channel": (
        {"f__weight": (48, 5), "f__bias": (48,)},
        lambda: _behind(L.Dense(48, name="f"), L.Reshape((6, 8, 1)), shape=(5,)),
        "same",
    ),
    "with the vector as an output, too": (SHAPED, _two_ends, "unknown"),
    "a sequence": (
        {"f__weight": (2, 24), "f__bias": (2,)},
        lambda: _behind(L.Flatten(), L.Dense(2, name="f"), shape=(6, 4)),
        "same",
    ),
}


@pytest.mark.parametrize("case", ORDERS)
def test_rows_and_columns_follow_the_graph_or_are_refused(case: str) -> None:
    shapes, build, order = ORDERS[case]
    state, model = random(**shapes), build()
    if order == "unknown":
        refused(state, model, "KG208 f/kernel")
        return
    loaded(state, model)
    kernel, weight = np.asarray(model.get_layer("f").kernel), state["f.weight"]
    if order == "rows":
        places = int((weight.shape[1] / 4) ** 0.5)
        weight = weight.reshape(2, 4, places, places).transpose(0, 2, 3, 1).reshape(2, -1)
    elif order == "columns":
        weight = weight.reshape(3, 4, 4, 5).transpose(1, 2, 0, 3).reshape(48, 5)
    np.testing.assert_array_equal(kernel, weight.T)
