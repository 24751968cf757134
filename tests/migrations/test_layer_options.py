"""Options of single layers: what goes, what gets another name, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kerasguard.planning.findings import Severity

KERAS1 = {"keras": "1.2.2", "backend": "theano", "config": "legacy"}

# layer, shape of the input, code of the migration, arguments that must be gone, and new ones
CASES: list[tuple[str, dict[str, Any], tuple[int, ...], str, set[str], dict[str, Any]]] = [
    ("LSTM", {"units": 2, "time_major": False, "implementation": 2}, (3, 4), "KG410",
     {"time_major", "implementation"}, {"units": 2}),
    ("SimpleRNN", {"units": 2, "time_major": True}, (3, 4), "KG410", {"time_major"}, {"units": 2}),
    ("SeparableConv1D", {"filters": 2, "kernel_size": [3], "padding": "causal"}, (6, 4), "KG444",
     set(), {"padding": "valid"}),
    ("GRU", {"units": 2}, (3, 4), "KG411", set(), {"reset_after": False}),
    ("CuDNNGRU", {"units": 2}, (3, 4), "KG412", set(),
     {"reset_after": True, "recurrent_activation": "sigmoid"}),
    ("CuDNNLSTM", {"units": 2}, (3, 4), "KG412", set(), {"recurrent_activation": "sigmoid"}),
    ("DepthwiseConv2D", {"kernel_size": [2, 2], "groups": 1}, (4, 4, 2), "KG413", {"groups"}, {}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": [2, 2], "groups": 1}, (4, 4, 2), "KG413",
     {"groups"}, {}),
    ("SeparableConv2D", {"filters": 2, "kernel_size": [2, 2], "groups": 1,
                         "kernel_initializer": {"class_name": "GlorotUniform", "config": {}},
                         "kernel_regularizer": None, "kernel_constraint": None},
     (4, 4, 2), "KG413", {"groups", "kernel_initializer", "kernel_regularizer"}, {}),
    ("BatchNormalization", {"axis": [1]}, (4,), "KG414", set(), {"axis": 1}),
    ("LeakyReLU", {"alpha": 0.25}, (4,), "KG415", {"alpha"}, {"negative_slope": 0.25}),
    ("CategoryEncoding", {"max_tokens": 9, "output_mode": "binary"}, (4,), "KG415",
     {"max_tokens"}, {"num_tokens": 9, "output_mode": "multi_hot"}),
    ("SyncBatchNormalization", {"axis": 1}, (4,), "KG403", set(), {"synchronized": True}),
    ("ThresholdedReLU", {"theta": 0.5}, (4,), "KG418", {"theta"}, {"threshold": 0.5}),
    ("Addons>InstanceNormalization", {"groups": 2, "axis": -1, "epsilon": 1e-3}, (3, 3, 2), "KG418",
     set(), {"groups": -1, "axis": -1}),
    ("Dense", {"units": 2, "dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}},
     (4,), "KG408", set(), {}),
    ("Dense", {"units": 2, "kernel_regularizer": {"name": "WeightRegularizer", "l2": 0.1}},
     (4,), "KG405", set(), {}),
    ("Embedding", {"input_dim": 9, "output_dim": 2, "input_length": 4}, (4,), "KG424",
     {"input_length"}, {"input_dim": 9}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[3]}")
def test_an_old_option_gets_its_form_of_today(migrated: Any, case: Any) -> None:
    kind, config, shape, code, gone, new = case
    found = migrated({"class_name": kind, "config": config}, shape)
    assert not found.errors
    assert code in found.codes()
    assert not gone & set(found.config)
    assert {key: found.config[key] for key in new} == new


@pytest.mark.keras
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[3]}")
def test_keras_3_builds_what_an_old_option_became(
    migrated: Any, build: Callable[..., Any], case: Any
) -> None:
    kind, config, shape, *_ = case
    model = build(migrated({"class_name": kind, "config": config}, shape).new)
    assert np.isfinite(model(np.ones((2, *shape)))).all()


@pytest.mark.parametrize(
    ("kind", "config", "word"),
    [
        ("LSTM", {"units": 2, "time_major": True, "return_state": True}, "time_major"),
        ("Resizing", {"height": 2, "width": 2, "interpolation": "Gaussian"}, "'gaussian'"),
        ("UpSampling2D", {"size": 2, "interpolation": "mitchellcubic"}, "'mitchellcubic'"),
        ("DepthwiseConv2D", {"kernel_size": 2, "groups": 2}, "groups=2"),
        ("BatchNormalization", {"axis": [1, 2]}, "[1, 2]"),
        ("BatchNormalization", {"mode": 1}, "mode=1"),
        ("Conv2DTranspose", {"filters": 2, "kernel_size": 2, "padding": "full"}, "full"),
        ("Dense", {"units": 2, "quantum": 7}, "quantum=7"),
        ("Merge", {"mode": "cos"}, "cos"),
    ],
)
def test_an_option_that_keras_3_cannot_compute_is_refused_by_name(
    migrated: Any, kind: str, config: dict[str, Any], word: str
) -> None:
    errors = [str(e) for e in migrated({"class_name": kind, "config": config}).errors]
    assert any(word in e and e.split()[1].startswith("layer") for e in errors)


@pytest.mark.keras
def test_around_a_layer_with_the_time_first_batch_and_time_are_exchanged(
    migrated: Any, build: Callable[..., Any]
) -> None:
    options = {"units": 2, "time_major": True, "return_sequences": True}
    model = build(migrated({"class_name": "LSTM", "config": options}, (3, 4)).new)
    x = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("float32")
    sequences = model.get_layer("layer")(x.transpose(1, 0, 2))
    assert np.allclose(model(x), np.transpose(sequences, (1, 0, 2)), atol=1e-6)
    assert model(x).shape == (5, 3, 2)


@pytest.mark.keras
def test_a_causal_separable_convolution_sees_no_later_step(
    migrated: Any, build: Callable[..., Any]
) -> None:
    options = {"filters": 2, "kernel_size": [3], "dilation_rate": [2], "padding": "causal"}
    model = build(migrated({"class_name": "SeparableConv1D", "config": options}, (7, 4)).new)
    x = np.random.default_rng(0).normal(size=(1, 7, 4)).astype("float32")
    later = x.copy()
    later[:, 5:] += 1
    first, second = np.asarray(model(x)), np.asarray(model(later))
    assert first.shape == (1, 7, 2)
    assert np.array_equal(first[:, :5], second[:, :5])
    assert not np.isclose(first[:, 5:], second[:, 5:]).any()


def test_the_arguments_of_keras_1_get_their_names_of_today(migrated: Any) -> None:
    old = {
        "nb_filter": 8,
        "nb_row": 3,
        "nb_col": 5,
        "subsample": [2, 1],
        "border_mode": "same",
        "dim_ordering": "tf",
        "init": "normal",
        "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.5},
        "b_constraint": {"name": "MaxNorm", "m": 2, "axis": 0},
        "bias": True,
    }
    found = migrated(
        {"class_name": "Convolution2D", "config": old}, (8, 8, 3), writer={**KERAS1, "backend": ""}
    )
    config = found.config
    assert found.layer["class_name"] == "Conv2D"
    assert (config["filters"], config["kernel_size"], config["strides"]) == (8, [3, 5], [2, 1])
    assert (config["padding"], config["data_format"]) == ("same", "channels_last")
    assert config["kernel_initializer"]["class_name"] == "RandomNormal"
    assert config["kernel_regularizer"]["config"] == {"l1": 0.0, "l2": 0.5}
    assert config["bias_constraint"]["config"] == {"max_value": 2, "axis": 0}
    assert config["use_bias"] is True
    assert not set(old) & set(config)


def test_the_recurrent_arguments_of_keras_1_get_their_names_of_today(migrated: Any) -> None:
    old = {
        "output_dim": 4,
        "inner_init": "orthogonal",
        "inner_activation": "sigmoid",
        "forget_bias_init": "one",
        "dropout_W": 0.1,
        "dropout_U": 0.2,
        "U_regularizer": None,
        "consume_less": "cpu",
        "input_dim": 4,
        "input_length": 3,
    }
    config = migrated({"class_name": "LSTM", "config": old}, (3, 4), writer=KERAS1).config
    assert (config["units"], config["dropout"], config["recurrent_dropout"]) == (4, 0.1, 0.2)
    assert (config["recurrent_activation"], config["unit_forget_bias"]) == ("sigmoid", True)
    assert not set(old) & set(config)


def test_merge_becomes_the_layer_of_its_mode(migrated: Any) -> None:
    calls = [[["input", 0, 0], ["input", 0, 0]]]
    layer = {"class_name": "Merge", "config": {"mode": "concat", "concat_axis": 1, "layers": []}}
    found = migrated(layer, calls=calls, writer=KERAS1)
    assert found.layer["class_name"] == "Concatenate"
    assert found.config == {"name": "layer", "axis": 1}


def test_an_initialiser_that_is_not_in_keras_3_costs_a_warning_only(migrated: Any) -> None:
    layer = {"class_name": "Dense", "config": {"units": 2, "kernel_initializer": "my_own"}}
    found = migrated(layer)
    assert not found.errors
    assert found.config["kernel_initializer"]["class_name"] == "Zeros"
    assert any(f.severity.value == "warning" and "my_own" in f.message for f in found.findings)


def test_states_behind_the_input_become_a_keyword_argument(migrated: Any) -> None:
    calls = [[["input", 0, 0, {}], ["input", 0, 0, {}]]]
    found = migrated({"class_name": "SimpleRNN", "config": {"units": 4}}, (3, 4), calls=calls)
    call = found.layer["inbound_nodes"][0]
    assert len(call["args"]) == 1
    assert len(call["kwargs"]["initial_state"]) == 1


def test_the_value_of_an_attention_layer_is_a_tensor_of_its_call(migrated: Any) -> None:
    calls = [[["input", 0, 0, {"value": ["input", 0, 0]}]]]
    config = {"num_heads": 2, "key_dim": 2, "query_shape": [None, 3, 4], "key_shape": None}
    found = migrated({"class_name": "MultiHeadAttention", "config": config}, (3, 4), calls=calls)
    value = found.layer["inbound_nodes"][0]["kwargs"]["value"]
    assert value["config"]["keras_history"] == ["input", 0, 0]
    assert not {"query_shape", "key_shape"} & set(found.config)


def test_causal_attention_is_causal_in_its_calls(migrated: Any) -> None:
    calls = [[["input", 0, 0, {}], ["input", 0, 0, {}]]]
    layer = {"class_name": "Attention", "config": {"causal": True, "score_mode": "dot"}}
    found = migrated(layer, (3, 4), calls=calls)
    assert found.layer["inbound_nodes"][0]["kwargs"] == {"use_causal_mask": True}
    assert found.config["score_mode"] == "dot"


def test_bytecode_is_refused_with_the_line_that_supplies_the_function(migrated: Any) -> None:
    layer = {"class_name": "Lambda", "config": {"function": ["4wEAAA==", None, None]}}
    errors = [str(e) for e in migrated(layer).errors]
    assert any('custom_objects={"layer": lambda x: ...}' in e for e in errors)
    found = migrated(layer, known=["layer"])
    assert not found.errors
    assert found.config["function"]["config"] == "layer"


@pytest.mark.keras
def test_a_lambda_calls_the_function_that_was_supplied_for_it(
    migrated: Any, build: Callable[..., Any]
) -> None:
    layer = {"class_name": "Lambda", "config": {"function": ["4wEAAA==", None, None]}}
    model = build(migrated(layer, known=["layer"]).new, layer=lambda x: x * 2 + 1)
    assert np.allclose(model(np.ones((1, 4))), 3.0)


def test_an_unknown_activation_is_asked_for(migrated: Any) -> None:
    layer = {"class_name": "Dense", "config": {"units": 2, "activation": "my_relu6"}}
    assert any('"my_relu6": my_relu6' in str(e) for e in migrated(layer).errors)
    activation = migrated(layer, known=["my_relu6"]).config["activation"]
    assert (activation["class_name"], activation["config"]) == ("function", "my_relu6")


@pytest.mark.keras
def test_a_biternion_is_a_vector_of_length_one(migrated: Any, build: Callable[..., Any]) -> None:
    layer = {"class_name": "Activation", "config": {"activation": "biternion"}}
    y = build(migrated(layer, (2,)).new)(np.array([[3.0, 4.0]]))
    assert np.allclose(y, [[0.6, 0.8]])


def test_a_lambda_as_activation_is_supplied_under_the_name_of_its_layer(migrated: Any) -> None:
    layer = {"class_name": "Dense", "config": {"units": 2, "activation": "<lambda>"}}
    assert any('"layer": layer' in str(e) for e in migrated(layer).errors)
    assert migrated(layer, known=["layer"]).config["activation"]["config"] == "layer"


@pytest.mark.keras
@pytest.mark.parametrize(
    ("image", "covering", "cut"),
    [((8, 8), (5, 5), ((0, 0), (0, 1))), ((9, 6), (6, 4), ((0, 1), (0, 0)))],
)
def test_a_random_crop_of_tensorflow_2_4_resizes_before_it_cuts(
    migrated: Any,
    build: Callable[..., Any],
    image: tuple[int, int],
    covering: tuple[int, int],
    cut: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    layer = {"class_name": "RandomCrop", "config": {"height": 5, "width": 4, "seed": None}}
    writer = {"keras": "2.4.0", "config": "legacy"}
    found = migrated(layer, (*image, 1), writer=writer)
    assert (found.config["height"], found.config["width"]) == covering
    model = build(found.new)
    assert model.output_shape == (None, 5, 4, 1)
    whole = model.get_layer("layer")(np.random.default_rng(0).random((1, *image, 1)))
    x = np.random.default_rng(0).random((1, *image, 1))
    rows, columns = (slice(a, -b or None) for a, b in cut)
    assert np.allclose(model(x), np.asarray(whole)[:, rows, columns], atol=1e-6)
    assert not migrated(layer, (*image, 1), writer={"keras": "2.7.0"}).codes() & {"KG449"}
    assert [e.code for e in migrated(layer, (None, None, 1), writer=writer).errors] == ["KG449"]


def test_a_salt_that_stood_for_none_is_left_out_with_a_warning(migrated: Any) -> None:
    config = {"num_bins": 7, "salt": [956888297470, 956888297470], "dtype": "float32"}
    found = migrated({"class_name": "Hashing", "config": config})
    assert not {"salt", "dtype"} & set(found.config)
    assert [f.severity for f in found.findings if f.code == "KG450"] == [Severity.WARNING]
    given = migrated({"class_name": "Hashing", "config": {"num_bins": 7, "salt": [1, 1]}})
    assert given.config["salt"] == [1, 1]


@pytest.mark.keras
@pytest.mark.parametrize(
    ("size", "padding", "added"),
    [(18, "same", None), (17, "same", [0, 0]), (19, "valid", None), (20, "valid", [1, 1])],
)
def test_the_size_that_keras_1_was_told_decides_what_a_transposed_convolution_adds(
    migrated: Any, build: Callable[..., Any], size: int, padding: str, added: list[int] | None
) -> None:
    kernel = {"nb_filter": 4, "nb_row": 3, "nb_col": 3, "subsample": [2, 2]}
    more = {"border_mode": padding, "output_shape": [None, size, size, 4], "dim_ordering": "tf"}
    layer = {"class_name": "Deconvolution2D", "config": {**kernel, **more}}
    writer = {"keras": "1.2.2", "config": "legacy", "backend": "tensorflow"}
    found = migrated(layer, (9, 9, 3), writer=writer)
    assert found.config.get("output_padding") == added
    assert build(found.new).output_shape == (None, size, size, 4)


def test_a_size_that_no_transposed_convolution_makes_is_refused(migrated: Any) -> None:
    kernel = {"nb_filter": 4, "nb_row": 2, "nb_col": 2, "subsample": [3, 3]}
    more = {"border_mode": "same", "output_shape": [None, 25, 27, 4], "dim_ordering": "tf"}
    layer = {"class_name": "Deconvolution2D", "config": {**kernel, **more}}
    writer = {"keras": "1.2.2", "config": "legacy", "backend": "tensorflow"}
    errors = migrated(layer, (9, 9, 3), writer=writer).errors
    assert [e.code for e in errors] == ["KG404"]


def test_without_a_largest_number_of_tokens_there_is_nothing_to_pad_to(migrated: Any) -> None:
    config = {"pad_to_max_tokens": True, "max_tokens": None, "output_mode": "count"}
    found = migrated({"class_name": "TextVectorization", "config": config}, (1,))
    assert found.config["pad_to_max_tokens"] is False


def test_a_list_that_keras_3_writes_itself_is_not_told(migrated: Any) -> None:
    layer = {"class_name": "LayerNormalization", "config": {"axis": [-1]}}
    old, new = migrated(layer), migrated(layer, writer={"keras": "3.15.1", "config": "legacy"})
    assert old.config["axis"] == new.config["axis"] == -1
    assert "KG414" in old.codes()
    assert "KG414" not in new.codes()
