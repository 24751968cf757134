"""Changes that rewire a graph: masks, computed sizes, merged models, layers that go."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kerasguard.blueprint.nodes import call_of, tensor
from kerasguard.errors import ArchitectureError
from kerasguard.migrations import migrate
from kerasguard.planning.findings import Severity

KERAS2 = {"keras": "2.11.0", "config": "legacy"}
IDS = np.array([[3, 1, 0, 0], [2, 0, 0, 0]])


def layer(kind: str, name: str, *inputs: Any, **config: Any) -> dict[str, Any]:
    calls = [[[x, 0, 0, {}] for x in inputs]] if inputs else []
    return {
        "class_name": kind,
        "config": {"name": name, **config},
        "name": name,
        "inbound_nodes": calls,
    }


def start(name: str, *shape: int, dtype: str = "float32") -> dict[str, Any]:
    return layer("InputLayer", name, batch_input_shape=[None, *shape], dtype=dtype)


def graph(*layers: dict[str, Any], outputs: str, inputs: str = "ids") -> dict[str, Any]:
    config = {
        "name": "model",
        "layers": list(layers),
        "input_layers": [[inputs, 0, 0]],
        "output_layers": [[outputs, 0, 0]],
    }
    return {"class_name": "Functional", "config": config}


def embeddings() -> list[dict[str, Any]]:
    return [
        start("ids", 4, dtype="int32"),
        layer("Embedding", "masked", "ids", input_dim=5, output_dim=2, mask_zero=True),
        layer("Embedding", "plain", "ids", input_dim=5, output_dim=2, mask_zero=False),
    ]


@pytest.mark.keras
def test_a_mean_behind_merged_branches_leaves_out_what_keras_2_left_out(
    build: Callable[..., Any],
) -> None:
    old = graph(
        *embeddings(),
        layer("Add", "sum", "masked", "plain"),
        layer("GlobalAveragePooling1D", "mean", "sum"),
        outputs="mean",
    )
    new, findings = migrate(old, KERAS2)
    assert any(f.code == "KG436" and f.key == "mean" for f in findings)
    model = build(new)
    table = np.arange(10.0).reshape(5, 2)
    model.set_weights([table, table])
    expected = [2 * table[[3, 1]].mean(0), 2 * table[2]]
    assert np.allclose(model.predict(IDS, verbose=0), expected)


def test_branches_with_the_same_mask_are_left_alone() -> None:
    old = graph(
        *embeddings()[:2],
        layer("Dense", "dense", "masked", units=2),
        layer("Add", "sum", "masked", "dense"),
        layer("LSTM", "lstm", "sum", units=2),
        outputs="lstm",
    )
    new, findings = migrate(old, KERAS2)
    assert not any(f.code == "KG436" for f in findings)
    assert len(new["config"]["layers"]) == 5


@pytest.mark.keras
def test_a_concatenation_with_masks_is_built_and_keeps_its_mask(build: Callable[..., Any]) -> None:
    old = graph(
        *embeddings(),
        layer("Concatenate", "concatenate", "masked", "plain", axis=-1),
        layer("GlobalAveragePooling1D", "mean", "concatenate"),
        outputs="mean",
    )
    new, findings = migrate(old, KERAS2)
    assert {"KG429", "KG436"} <= {f.code for f in findings}
    model = build(new)
    table = np.arange(10.0).reshape(5, 2)
    model.set_weights([table, table])
    first = model.predict(IDS, verbose=0)[1]
    assert np.allclose(first, [*table[2], *table[2]])


@pytest.mark.keras
def test_a_batch_size_computed_in_the_graph_is_left_to_reshape(build: Callable[..., Any]) -> None:
    item = layer("SlicingOpLambda", "item", function="__operators__.getitem")
    item["inbound_nodes"] = [["size", 0, 0, {"slice_spec": 0}]]
    size = layer("TFOpLambda", "size", function="compat.v1.shape")
    size["inbound_nodes"] = [["x", 0, 0, {"out_type": "int32", "name": None}]]
    fold = layer("TFOpLambda", "fold", function="reshape")
    fold["inbound_nodes"] = [["x", 0, 0, {"shape": [["item", 0, 0], 2, -1]}]]
    new, findings = migrate(
        graph(start("x", 6), size, item, fold, outputs="fold", inputs="x"), KERAS2
    )
    assert [x["name"] for x in new["config"]["layers"]] == ["x", "fold"]
    assert any(f.code == "KG428" for f in findings)
    assert build(new).output_shape == (None, 2, 3)


def function(name: str, of: str, *inbound: Any) -> dict[str, Any]:
    return {**layer("TFOpLambda", name, function=of), "inbound_nodes": list(inbound)}


@pytest.mark.keras
@pytest.mark.parametrize(
    ("of", "options", "filled"), [("zeros", {}, 0), ("ones", {}, 1), ("fill", {"value": 2.5}, 2.5)]
)
def test_what_is_filled_for_every_sample_takes_the_batch_of_another_tensor(
    build: Callable[..., Any], of: str, options: dict[str, Any], filled: float
) -> None:
    sizes = [["item", 0, 0, options], ["_CONSTANT_VALUE", -1, 4, options]]
    old = graph(
        start("x", 6),
        function("size", "compat.v1.shape", ["x", 0, 0, {}]),
        function("item", "__operators__.getitem", ["size", 0, 0, {"slice_spec": 0}]),
        function("made", of, sizes),
        outputs="made",
        inputs="x",
    )
    new, _ = migrate(old, KERAS2)
    found = build(new).predict(np.full((3, 6), np.nan), verbose=0)
    np.testing.assert_array_equal(found, np.full((3, 4), filled, "float32"))


@pytest.mark.keras
def test_sizes_that_the_configs_tell_are_numbers(build: Callable[..., Any]) -> None:
    width = {"slice_spec": 1}
    old = graph(
        start("x", 6),
        function("size", "shape", ["x", 0, 0, {}]),
        function("item", "__operators__.getitem", ["size", 0, 0, width]),
        function("half", "math.floordiv", ["item", 0, 0, {"y": 2}]),
        function("fold", "reshape", ["x", 0, 0, {"shape": [-1, 2, ["half", 0, 0]]}]),
        function("cast", "cast", ["item", 0, 0, {"dtype": "float32"}]),
        function("share", "math.truediv", ["fold", 0, 0, {"y": ["cast", 0, 0]}]),
        outputs="share",
        inputs="x",
    )
    new, findings = migrate(old, KERAS2)
    assert not [f for f in findings if f.severity is Severity.ERROR]
    x = np.arange(12.0, dtype="float32").reshape(2, 6)
    np.testing.assert_allclose(build(new).predict(x, verbose=0), x.reshape(2, 2, 3) / 6, 1e-6)


def test_a_loss_inside_the_model_is_left_out_with_what_it_is_made_of() -> None:
    square = layer("TFOpLambda", "square", function="math.square")
    square["inbound_nodes"] = [["dense", 0, 0, {}]]
    old = graph(
        start("x", 3),
        layer("Dense", "dense", "x", units=2),
        square,
        layer("AddLoss", "add_loss", "square", unconditional=True),
        outputs="dense",
        inputs="x",
    )
    new, findings = migrate(old, KERAS2)
    assert [x["name"] for x in new["config"]["layers"]] == ["x", "dense"]
    assert [f.severity for f in findings if f.code == "KG438"] == [Severity.WARNING]


@pytest.mark.keras
def test_models_that_a_merge_joins_become_a_graph_with_their_inputs(
    build: Callable[..., Any],
) -> None:
    def branch(name: str) -> dict[str, Any]:
        dense = {"name": f"{name}_dense", "output_dim": 2, "batch_input_shape": [None, 3]}
        return {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": dense}]}

    merge = {
        "class_name": "Merge",
        "config": {"name": "merge", "mode": "concat", "layers": [branch("a"), branch("b")]},
    }
    last = {"class_name": "Dense", "config": {"name": "last", "output_dim": 1}}
    old = {"class_name": "Sequential", "config": [merge, last]}
    new, findings = migrate(old, {"keras": "1.2.2", "backend": "theano", "config": "legacy"})
    assert not [f for f in findings if f.severity is Severity.ERROR]
    model = build(new)
    assert len(model.inputs) == 2
    assert model.output_shape == (None, 1)


@pytest.mark.keras
def test_models_that_a_merge_joins_may_start_with_a_merge_and_have_no_names(
    build: Callable[..., Any],
) -> None:
    def row(*layers: dict[str, Any]) -> dict[str, Any]:
        return {"class_name": "Sequential", "config": list(layers)}

    def dense(name: str, **options: Any) -> dict[str, Any]:
        return {"class_name": "Dense", "config": {"name": name, "output_dim": 2, **options}}

    def merge(name: str, *layers: dict[str, Any]) -> dict[str, Any]:
        config = {"name": name, "mode": "sum", "layers": list(layers)}
        return {"class_name": "Merge", "config": config}

    a, b, c = (
        row(dense(n, batch_input_shape=[None, size])) for n, size in (("a", 1), ("b", 2), ("c", 3))
    )
    old = row(merge("outer", row(merge("inner", a, b), dense("d")), c), dense("e"))
    new, findings = migrate(old, {"keras": "1.2.2", "backend": "tensorflow", "config": "legacy"})
    assert not [f for f in findings if f.severity is Severity.ERROR]
    model = build(new)
    assert [x.shape for x in model.inputs] == [(None, 1), (None, 2), (None, 3)]
    assert len(model.weights) == 10


def test_a_merge_whose_mode_is_a_function_is_a_lambda_that_the_caller_supplies() -> None:
    config = {"name": "m", "mode": ["4wEA", None, None], "mode_type": "lambda", "arguments": {}}
    old = {"class_name": "Sequential", "config": [{"class_name": "Merge", "config": config}]}
    _, findings = migrate(old, {"keras": "1.2.2", "config": "legacy"})
    assert [f.code for f in findings if f.severity is Severity.ERROR] == ["KG421"]
    new, findings = migrate(old, {"keras": "1.2.2", "config": "legacy"}, frozenset({"m"}))
    assert not [f for f in findings if f.severity is Severity.ERROR]
    assert new["config"]["layers"][0]["class_name"] == "Lambda"


@pytest.mark.keras
def test_bilinear_upsampling_of_keras_2_3_interpolates_between_corners(
    build: Callable[..., Any],
) -> None:
    config = {
        "name": "up",
        "size": [2, 1],
        "interpolation": "bilinear",
        "data_format": "channels_last",
        "batch_input_shape": [None, 3, 1, 1],
    }
    old = {
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [{"class_name": "UpSampling2D", "config": config}]},
    }
    model = build(migrate(old, {"keras": "2.3.1", "backend": "tensorflow"})[0])
    x = np.array([1.0, 3.0, 7.0]).reshape(1, 3, 1, 1)
    assert np.allclose(model.predict(x, verbose=0).ravel(), [1, 2, 3, 5, 7, 7])


@pytest.mark.keras
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_a_locally_connected_layer_has_a_kernel_for_each_place(
    build: Callable[..., Any], migrated: Any, order: str
) -> None:
    config = {"filters": 1, "kernel_size": [1, 2], "data_format": order, "activation": "linear"}
    shape = (1, 3, 2) if order == "channels_last" else (2, 1, 3)
    model = build(migrated({"class_name": "LocallyConnected2D", "config": config}, shape).new)
    # Two places, each with two columns of two channels, in the order of the writer.
    kernel = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]).reshape(1, 2, 4, 1)
    model.set_weights([kernel, np.zeros((1, 2, 1))])
    x = np.arange(6.0).reshape(1, 1, 3, 2)
    if order == "channels_last":
        parts = [x[0, 0, n : n + 2].ravel() for n in range(2)]
    else:
        x = x.transpose(0, 3, 1, 2)
        parts = [x[0, :, 0, n : n + 2].ravel() for n in range(2)]
    expected = [float(kernel[0, n, :, 0] @ parts[n]) for n in range(2)]
    assert np.allclose(model.predict(x, verbose=0).ravel(), expected)


@pytest.mark.keras
def test_a_cropping_that_leaves_nothing_is_a_slice(
    migrated: Any, build: Callable[..., Any]
) -> None:
    found = migrated({"class_name": "Cropping1D", "config": {"cropping": [1, 1]}}, (2, 3))
    assert found.layer["class_name"] == "GetItem"
    assert build(found.new).predict(np.ones((2, 2, 3)), verbose=0).shape == (2, 0, 3)


def test_compile_arguments_that_were_not_given_get_their_defaults() -> None:
    old = graph(start("x", 3), layer("Dense", "d", "x", units=1), outputs="d", inputs="x")
    old["compile_config"] = {"optimizer": "adam", "loss": "mse", "steps_per_execution": None}
    new, _ = migrate(old, {"keras": "2.13.1", "config": "keras3"})
    assert new["compile_config"]["steps_per_execution"] == 1
    assert new["compile_config"]["jit_compile"] is False


@pytest.mark.keras
def test_losses_and_schedules_of_keras_2_12_are_written_as_today(
    build: Callable[..., Any],
) -> None:
    old = graph(start("x", 3), layer("Dense", "d", "x", units=1), outputs="d", inputs="x")
    schedule = {"class_name": "ExponentialDecay", "config": {"decay_steps": 5, "decay_rate": 0.9}}
    schedule["config"] |= {"initial_learning_rate": 0.5}  # type: ignore[operator]
    function = {"class_name": "function", "registered_name": "mean_absolute_error"}
    huber = {"delta": 2.0, "fn": "huber", "name": "huber_loss", "reduction": "auto"}
    old["compile_config"] = {
        "optimizer": {
            "module": "keras.optimizers",
            "class_name": "SGD",
            "config": {"learning_rate": schedule, "is_legacy_optimizer": False},
            "registered_name": None,
        },
        "loss": {"module": "keras.losses", "class_name": "Huber", "config": huber},
        "metrics": [{**function, "module": "keras.losses", "config": "mean_absolute_error"}],
    }
    new, _ = migrate(old, {"keras": "2.12.0", "config": "keras3"})
    assert new["compile_config"]["metrics"] == ["mean_absolute_error"]
    model = build(new)
    assert float(model.optimizer.learning_rate) == 0.5
    assert float(model.loss(np.zeros((1, 1)), np.full((1, 1), 10.0))) == 18.0  # delta is 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda old: old["config"].update(layers=[7]),
        lambda old: old["config"].update(output_layers=None),
        lambda old: old["config"]["layers"][1].update(inbound_nodes=[[["x", 0]]]),
        lambda old: old["config"]["layers"][1].update(inbound_nodes=[[["nobody", "x", {}]]]),
    ],
)
def test_json_that_is_no_architecture_gives_one_typed_error(damage: Callable[..., Any]) -> None:
    old = graph(start("x", 3), layer("Dense", "d", "x", units=1), outputs="d", inputs="x")
    damage(old)
    before = json.dumps(old)
    with pytest.raises(ArchitectureError, match="malformed"):
        migrate(old, KERAS2)
    assert json.dumps(old) == before


def test_a_file_of_keras_3_is_left_as_it_is() -> None:
    dense = layer("Dense", "d", units=1) | {"module": "keras.layers", "registered_name": None}
    old = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [dense]},
    }
    assert migrate(old, {"keras": "3.15.1", "config": "keras3"}) == (old, ())


def test_a_class_that_a_file_of_keras_3_does_not_hold_is_asked_for() -> None:
    mine = layer("Scale", "mine") | {"module": None, "registered_name": "zoo>Scale"}
    config = {"name": "s", "layers": [mine]}
    old = {"module": "keras", "class_name": "Sequential", "config": config}
    writer = {"keras": "3.15.1", "config": "keras3"}
    _, findings = migrate(old, writer)
    assert any('custom_objects={"zoo>Scale": Scale}' in str(f) for f in findings)
    assert not migrate(old, writer, frozenset({"zoo>Scale"}))[1]


def test_an_operation_in_an_hdf5_file_of_keras_3_gets_its_module() -> None:
    dense = layer("Dense", "d", units=1, trainable=True) | {"inbound_nodes": [call_of(tensor("x"))]}
    relu = layer("Relu", "relu") | {"inbound_nodes": [call_of(tensor("d"))]}
    first = layer("InputLayer", "x", batch_shape=[None, 3], dtype="float32")
    old = graph(first, dense, relu, outputs="relu", inputs="x")
    new, findings = migrate(old, {"keras": "3.15.1", "config": "legacy"})
    assert not [f for f in findings if f.severity is Severity.ERROR]
    assert [x["module"] for x in new["config"]["layers"]] == [
        "keras.layers",
        "keras.layers",
        "keras.src.ops.nn",
    ]
