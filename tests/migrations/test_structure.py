"""Sequential lists, shapes, calls and nested models."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kerasguard.migrations import MIGRATIONS, migrate
from kerasguard.planning.findings import Severity

DENSE = {"class_name": "Dense", "config": {"name": "a", "units": 3, "batch_input_shape": [None, 4]}}


def test_every_migration_has_a_code_of_its_own_and_tells_its_story() -> None:
    codes = [migration.code for migration in MIGRATIONS]
    assert len(set(codes)) == len(codes)
    for migration in MIGRATIONS:
        module = __import__(migration.rewrite.__module__, fromlist=["CODES"])
        assert migration.code in module.CODES
        for part in ("What it looks like:", "Why it happens:", "Source:", "When it is exact:"):
            assert part in (module.__doc__ or ""), (migration.code, part)


def test_the_stored_architecture_is_left_as_it_was() -> None:
    old = {"class_name": "Sequential", "config": [copy.deepcopy(DENSE)]}
    before = json.dumps(old)
    migrate(old, {"keras": "2.0.5", "config": "legacy"})
    assert json.dumps(old) == before


def test_a_bare_list_of_layers_becomes_a_config_with_an_input_layer() -> None:
    new, findings = migrate(
        {"class_name": "Sequential", "config": [DENSE]}, {"keras": "2.0.5", "config": "legacy"}
    )
    first, second = new["config"]["layers"]
    assert new["config"]["name"] == "sequential"
    assert first["class_name"] == "InputLayer"
    assert first["config"]["batch_shape"] == [None, 4]
    assert "batch_input_shape" not in second["config"]
    assert second["module"] == "keras.layers"
    assert {"KG401", "KG407"} <= {finding.code for finding in findings}
    assert all(finding.severity is Severity.INFO for finding in findings)


@pytest.mark.keras
def test_a_bare_list_is_built_with_the_input_shape_it_had(build: Callable[..., Any]) -> None:
    new, _ = migrate({"class_name": "Sequential", "config": [DENSE]}, {"keras": "2.0.5"})
    assert build(new).input_shape == (None, 4)


def nested() -> dict[str, Any]:
    """A model that calls another one twice; Keras 2 counts those calls from 1."""

    def start(name: str) -> dict[str, Any]:
        config = {"batch_input_shape": [None, 4], "dtype": "float32", "name": name}
        return {"class_name": "InputLayer", "config": config, "name": name, "inbound_nodes": []}

    inner = {
        "name": "inner",
        "layers": [
            start("x"),
            {
                "class_name": "Dense",
                "config": {"name": "d", "units": 4},
                "name": "d",
                "inbound_nodes": [[["x", 0, 0, {}]]],
            },
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["d", 0, 0]],
    }
    calls = [[["input", 0, 0, {}]], [["inner", 1, 0, {}]]]
    return {
        "class_name": "Model",
        "config": {
            "name": "outer",
            "layers": [
                start("input"),
                {"class_name": "Model", "config": inner, "name": "inner", "inbound_nodes": calls},
            ],
            "input_layers": [["input", 0, 0]],
            "output_layers": [["inner", 2, 0]],
        },
    }


def test_calls_of_a_nested_model_are_counted_from_zero() -> None:
    new, _ = migrate(nested(), {"keras": "2.3.1"})
    inner = new["config"]["layers"][1]
    histories = [call["args"][0]["config"]["keras_history"] for call in inner["inbound_nodes"]]
    assert histories == [["input", 0, 0], ["inner", 0, 0]]
    assert new["config"]["input_layers"] == ["input", 0, 0]
    # Keras 3 counts the creation of a functional model too, but here only.
    assert new["config"]["output_layers"] == ["inner", 2, 0]


@pytest.mark.keras
def test_a_model_called_twice_is_applied_twice(build: Callable[..., Any]) -> None:
    model = build(migrate(nested(), {"keras": "2.3.1"})[0])
    kernel = np.diag([2.0, 2.0, 2.0, 2.0])
    model.set_weights([kernel, np.zeros(4)])
    assert np.allclose(model(np.ones((1, 4))), 4.0)


@pytest.mark.keras
def test_a_graph_in_a_sequential_of_keras_3_gives_one_tensor(build: Callable[..., Any]) -> None:
    keras = pytest.importorskip("keras")
    inputs = keras.Input((4,))
    inner = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2)])
    old = {"class_name": "Sequential", "config": json.loads(json.dumps(model.get_config()))}
    (graph,) = (x["config"] for x in old["config"]["layers"] if "output_layers" in x["config"])
    for key in ("input_layers", "output_layers"):
        graph[key] = graph[key] if isinstance(graph[key][0], list) else [graph[key]]
    writer = {"keras": "3.8.0", "config": "legacy"}
    new, findings = migrate(old, writer)
    assert [f.code for f in findings] == ["KG406", "KG406"]
    assert build(new).output_shape == (None, 2)


def test_names_with_slashes_are_replaced_in_layers_and_calls() -> None:
    old = nested()
    text = json.dumps(old).replace('"inner"', '"in/ner"')
    new, findings = migrate(json.loads(text), {"keras": "2.3.1"})
    assert new["config"]["layers"][1]["name"] == "in_ner"
    assert new["config"]["layers"][1]["config"]["name"] == "in_ner"
    assert new["config"]["output_layers"][0] == "in_ner"
    assert "/" not in json.dumps(new["config"])
    assert any(finding.code == "KG423" and finding.key == "in_ner" for finding in findings)


def test_values_in_old_encodings_are_written_plainly() -> None:
    layer = {
        "class_name": "ReLU",
        "config": {"name": "r", "max_value": {"type": "ndarray", "value": 6.0}},
    }
    numpy = {"class_name": "__numpy__", "config": {"value": 0.5, "dtype": "float32"}}
    layer["config"]["threshold"] = numpy  # type: ignore[index]  # Keras 2.12
    reshape = {"class_name": "Reshape", "config": {"name": "s"}}
    reshape["config"]["target_shape"] = {"class_name": "__tuple__", "items": [2, 2]}  # type: ignore[index]
    new, _ = migrate({"class_name": "Sequential", "config": [layer, reshape]}, {"keras": "2.2.2"})
    assert new["config"]["layers"][0]["config"]["max_value"] == 6.0
    assert new["config"]["layers"][0]["config"]["threshold"] == 0.5
    assert new["config"]["layers"][1]["config"]["target_shape"] == [2, 2]


@pytest.mark.keras
def test_layers_that_keras_keeps_for_its_applications_are_its_own(
    migrated: Callable[..., Any], build: Callable[..., Any]
) -> None:
    config = {"dtype": "float32", "init_values": 1e-6, "projection_dim": 4}
    model = build(migrated({"class_name": "LayerScale", "config": config}).new)
    assert model.layers[-1].gamma.shape == (4,)
    other = migrated({"class_name": "LayerScale", "config": {**config, "axis": 1}})
    assert [f.code for f in other.errors] == ["KG425"]


def test_unknown_classes_are_listed_at_once_with_the_call_to_write() -> None:
    layers = [{"class_name": c, "config": {"name": c.lower()}} for c in ("ConvDNA", "zoo>Scale")]
    old = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    new, findings = migrate(old, {"keras": "2.3.1"})
    errors = [str(f) for f in findings if f.severity is Severity.ERROR]
    assert len(errors) == 1
    assert 'custom_objects={"ConvDNA": ConvDNA, "zoo>Scale": Scale}' in errors[0]
    new, findings = migrate(old, {"keras": "2.3.1"}, frozenset({"ConvDNA", "Scale"}))
    assert not [f for f in findings if f.severity is Severity.ERROR]
    assert [x["registered_name"] for x in new["config"]["layers"]] == ["ConvDNA", "Scale"]
