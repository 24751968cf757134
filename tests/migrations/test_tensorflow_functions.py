"""Functions, slices and graph nodes of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kerasguard.migrations import migrate
from kerasguard.planning.findings import Severity

KERAS2 = {"keras": "2.11.0", "config": "legacy"}
X = np.arange(24, dtype="float32").reshape(2, 3, 4) / 7 - 1.5
SLICE = {"start": None, "stop": None, "step": None}


def norm(x: Any, axis: int) -> Any:
    return np.sqrt((x * x).sum(axis, keepdims=True))


def back(function: Any, x: Any, axis: int) -> Any:
    return np.flip(getattr(np.flip(x, axis), function.__name__)(axis), axis)


def later(x: Any, neutral: float) -> Any:
    """One step later along the second axis."""
    return np.concatenate([np.full_like(x[:, :1], neutral), x[:, :-1]], 1)


# function, keyword arguments of the call, the same in NumPy
FUNCTIONS: list[tuple[str, dict[str, Any], Callable[[Any], Any]]] = [
    ("nn.relu", {"name": None}, lambda x: np.maximum(x, 0)),
    ("math.multiply", {"y": 2.0, "name": None}, lambda x: x * 2),
    ("__operators__.add", {"y": [1.0, 2.0, 3.0, 4.0]}, lambda x: x + np.array([1, 2, 3, 4])),
    ("math.squared_difference", {"y": 0.5}, lambda x: (x - 0.5) ** 2),
    ("math.reduce_mean", {"axis": [1, 2], "keepdims": True},
     lambda x: x.mean((1, 2), keepdims=True)),
    ("compat.v1.reduce_sum", {"reduction_indices": 1, "keep_dims": False}, lambda x: x.sum(1)),
    ("reshape", {"shape": [-1, 12]}, lambda x: x.reshape(-1, 12)),
    ("compat.v1.transpose", {"perm": [0, 2, 1]}, lambda x: x.transpose(0, 2, 1)),
    ("expand_dims", {"axis": 1}, lambda x: x[:, None]),
    ("linalg.matmul", {"b": [[1.0], [0.0], [0.0], [2.0]]}, lambda x: x[..., :1] + 2 * x[..., 3:]),
    ("clip_by_value", {"clip_value_min": -1, "clip_value_max": 1}, lambda x: np.clip(x, -1, 1)),
    ("math.l2_normalize", {"axis": -1}, lambda x: x / norm(x, -1)),
    ("pad", {"paddings": [[0, 0], [1, 0], [0, 0]], "mode": "CONSTANT", "constant_values": 5},
     lambda x: np.pad(x, [[0, 0], [1, 0], [0, 0]], constant_values=5)),
    ("math.argmax", {"axis": -1, "output_type": "int64"}, lambda x: x.argmax(-1)),
    ("keras.backend.mean", {"axis": 1, "keepdims": False}, lambda x: x.mean(1)),
    ("keras.activations.hard_sigmoid", {}, lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    ("math.cumsum", {"axis": 1}, lambda x: x.cumsum(1)),
    ("math.cumsum", {"axis": 2, "reverse": True}, lambda x: back(x.cumsum, x, -1)),
    ("math.cumsum", {"axis": -2, "exclusive": True}, lambda x: later(x, 0).cumsum(1)),
    ("math.cumprod", {"axis": 1, "exclusive": True, "reverse": True},
     lambda x: later(x[:, ::-1], 1).cumprod(1)[:, ::-1]),
    ("nn.crelu", {"axis": -1}, lambda x: np.maximum(np.concatenate([x, -x], -1), 0)),
    ("broadcast_to", {"shape": [5, 2, 3, 4]}, lambda x: np.broadcast_to(x, (5, 2, 3, 4))),
    ("gather", {"indices": [2, 0], "axis": 1}, lambda x: x[:, [2, 0]]),
    ("linalg.band_part", {"num_lower": -1, "num_upper": 0}, np.tril),
    ("linalg.band_part", {"num_lower": 1, "num_upper": -1}, lambda x: np.triu(x, -1)),
    ("linalg.matvec", {"b": [1.0, 0.0, 0.0, 2.0]}, lambda x: x[..., 0] + 2 * x[..., 3]),
    ("linalg.diag_part", {"k": 0}, lambda x: np.diagonal(x, axis1=-2, axis2=-1)),
    ("keras.backend.sqrt", {}, lambda x: np.sqrt(np.maximum(x, 0))),
    ("nn.max_pool1d", {"ksize": 2, "strides": 1, "padding": "VALID", "data_format": "NWC"},
     lambda x: np.maximum(x[:, 1:], x[:, :-1])),
    ("nn.conv1d", {"filters": [[[1.0], [0.0], [0.0], [2.0]]], "stride": 1, "padding": "SAME"},
     lambda x: x[..., :1] + 2 * x[..., 3:]),
]  # fmt: skip


def call(function: str, kwargs: dict[str, Any], kind: str = "TFOpLambda") -> dict[str, Any]:
    layer = {"class_name": kind, "config": {"function": function, "dtype": "float32"}}
    return {"layer": layer, "shape": (3, 4), "calls": [["input", 0, 0, kwargs]]}


@pytest.mark.keras
@pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case[0])
def test_a_function_of_tensorflow_computes_what_it_did(
    migrated: Any, build: Callable[..., Any], case: Any
) -> None:
    function, kwargs, expected = case
    found = migrated(**call(function, kwargs))
    assert not found.errors
    assert np.allclose(np.asarray(build(found.new)(X)), expected(X), atol=1e-6)


@pytest.mark.keras
@pytest.mark.parametrize("shape", [(6,), (6, 3)])
def test_gathering_with_an_index_for_each_sample(
    build: Callable[..., Any], shape: tuple[int, ...]
) -> None:
    inputs = [
        {"class_name": "InputLayer", "name": name, "inbound_nodes": [],
         "config": {"name": name, "batch_input_shape": [None, *size], "dtype": dtype}}
        for name, size, dtype in (("x", shape, "float32"), ("i", (2,), "int32"))
    ]  # fmt: skip
    taken = {"indices": ["i", 0, 0], "axis": 1, "batch_dims": 1}
    layer = {
        "class_name": "TFOpLambda", "name": "taken",
        "config": {"name": "taken", "function": "compat.v1.gather"},
        "inbound_nodes": [["x", 0, 0, taken]],
    }  # fmt: skip
    graph = {"name": "m", "layers": [*inputs, layer], "output_layers": [["taken", 0, 0]]}
    graph["input_layers"] = [["x", 0, 0], ["i", 0, 0]]
    new, findings = migrate({"class_name": "Functional", "config": graph}, KERAS2)
    assert [f.code for f in findings if f.severity is Severity.ERROR] == []
    x = np.random.default_rng(1).normal(size=(4, *shape)).astype("float32")
    i = np.array([[0, 5], [1, 1], [2, 3], [4, 0]], "int32")
    expected = np.stack([row[index] for row, index in zip(x, i, strict=True)])
    np.testing.assert_array_equal(np.asarray(build(new)([x, i])), expected)


def test_a_function_becomes_an_operation_of_keras(migrated: Any) -> None:
    layer = migrated(**call("math.reduce_max", {"axis": 1, "keepdims": None})).layer
    assert (layer["module"], layer["class_name"]) == ("keras.src.ops.numpy", "Max")
    assert layer["config"] == {"name": "layer", "axis": 1}
    assert layer["registered_name"] == "Max"


def test_a_slice_is_written_as_keras_writes_it(migrated: Any) -> None:
    spec = [SLICE, 0, {"class_name": "__ellipsis__"}]
    layer = migrated(**call("__operators__.getitem", {"slice_spec": spec}, "SlicingOpLambda")).layer
    key = layer["inbound_nodes"][0]["args"][1]
    assert layer["class_name"] == "GetItem"
    assert [part if isinstance(part, int) else part["class_name"] for part in key] == [
        "__slice__",
        0,
        "__ellipsis__",
    ]


@pytest.mark.parametrize(
    ("function", "kwargs", "word"),
    [
        ("random.normal", {}, "random.normal"),
        ("strings.lower", {}, "strings.lower"),
        ("tile", {"multiples": ["input", 0, 0]}, "its repeats is computed inside the model"),
        ("gather", {"indices": [[[0]]], "axis": 1, "batch_dims": 1}, "batch_dims=1 with axis=1"),
        ("split", {"num_or_size_splits": [1, -1], "axis": 1}, "unknown"),
    ],
)
def test_a_function_that_is_not_in_the_table_is_refused_by_name(
    migrated: Any, function: str, kwargs: dict[str, Any], word: str
) -> None:
    errors = [str(e) for e in migrated(**call(function, kwargs)).errors]
    assert any(e.startswith("KG419 layer") and word in e for e in errors)


def node(op: str, constants: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    config = {"node_def": {"op": op, "attr": attributes}, "constants": constants}
    return {"layer": {"class_name": "TensorFlowOpLayer", "config": config}, "shape": (3, 4)}


def operation(case: Any) -> str:
    return str(case[0]["layer"]["config"]["node_def"]["op"])


NODES: list[tuple[dict[str, Any], Callable[[Any], Any]]] = [
    (node("Relu", {}), lambda x: np.maximum(x, 0)),
    (node("AddV2", {"1": 1.0}), lambda x: x + 1),
    (node("Sub", {"0": 1.0}), lambda x: 1 - x),
    (node("Mean", {"1": [1]}, keep_dims={"b": True}), lambda x: x.mean(1, keepdims=True)),
    (node("Transpose", {"1": [0, 2, 1]}), lambda x: x.transpose(0, 2, 1)),
    (node("Cast", {}, DstT={"type": "DT_INT32"}), lambda x: x.astype("int32")),
    (node("ConcatV2", {"1": -1}), lambda x: x),
    (node("BroadcastTo", {"1": [2, 2, 3, 4]}), lambda x: np.broadcast_to(x, (2, 2, 3, 4))),
    (node("Cumsum", {"1": -1}, reverse={"b": True}), lambda x: back(x.cumsum, x, -1)),
    (
        node(
            "StridedSlice",
            {"1": [0, 0, 1], "2": [0, 1, 3], "3": [1, 1, 1]},
            begin_mask={"i": "1"},
            end_mask={"i": "1"},
            shrink_axis_mask={"i": "2"},
        ),
        lambda x: x[:, 0, 1:3],
    ),
]


@pytest.mark.keras
@pytest.mark.parametrize(
    "case", NODES, ids=lambda case: case[0]["layer"]["config"]["node_def"]["op"]
)
def test_a_node_of_a_tensorflow_graph_computes_what_it_did(
    migrated: Any, build: Callable[..., Any], case: Any
) -> None:
    found = migrated(**case[0])
    assert not found.errors
    assert np.allclose(np.asarray(build(found.new)(X)), case[1](X), atol=1e-6)


def test_a_node_that_is_not_in_the_table_is_refused_by_name(migrated: Any) -> None:
    errors = [str(e) for e in migrated(**node("RandomStandardNormal", {})).errors]
    assert any(e.startswith("KG420 layer") and "RandomStandardNormal" in e for e in errors)
