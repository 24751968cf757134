"""Files that say one Keras wrote them and show another, and files that say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from kerasguard.blueprint.nodes import call_of, tensor
from kerasguard.migrations import migrate
from kerasguard.planning.findings import Severity

KERAS2 = {"keras": "2.12.0", "config": "keras3"}
KERAS3 = {"keras": "3.5.0", "config": "keras3"}


def model(*, today: bool) -> dict[str, Any]:
    """An input and a Dense layer, called as Keras 3 writes it or as Keras 2 did."""
    shape = {"batch_shape" if today else "batch_input_shape": [None, 3]}
    start: dict[str, Any] = {"class_name": "InputLayer", "name": "x", "module": "keras.layers"}
    start |= {"config": {"name": "x", **shape}, "inbound_nodes": []}
    options = {"name": "d", "units": 1, "activation": "hard_sigmoid"}
    dense = {"class_name": "Dense", "name": "d", "config": options, "module": "keras.layers"}
    calls = [call_of(tensor("x"))] if today else [[["x", 0, 0, {}]]]
    return {
        "module": "keras.src.models.functional" if today else "keras.src.engine.functional",
        "class_name": "Functional",
        "config": {
            "name": "m",
            "layers": [start, dense | {"inbound_nodes": calls}],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["d", 0, 0]],
        },
    }


def refused(old: dict[str, Any], writer: dict[str, str]) -> list[str]:
    found = migrate(old, writer)[1]
    return [str(f) for f in found if f.severity is Severity.ERROR]


@pytest.mark.parametrize(("today", "writer"), [(True, KERAS2), (False, KERAS3)])
def test_a_config_of_another_keras_than_the_file_says_is_refused_once(
    today: bool, writer: dict[str, str]
) -> None:
    (message,) = (m for m in refused(model(today=today), writer) if m.startswith("KG443"))
    assert f"Keras {writer['keras']} wrote it" in message
    assert f"only Keras {3 if today else 2} writes" in message
    assert "kerasguard.load(path, model=model)" in message


@pytest.mark.parametrize(("today", "writer"), [(False, KERAS2), (True, KERAS3)])
def test_what_the_file_says_is_not_doubted_where_the_config_shows_it(
    today: bool, writer: dict[str, str]
) -> None:
    assert refused(model(today=today), writer) == []


def test_a_call_on_a_dict_of_tensors_is_of_any_keras() -> None:
    old = model(today=False)
    dense = old["config"]["layers"][1]
    dense |= {"class_name": "Mine", "inbound_nodes": [{"side": ["x", 0, 0, {}]}]}
    new, findings = migrate(old, KERAS2, frozenset({"Mine"}))
    assert not [f for f in findings if f.severity is Severity.ERROR]
    assert new["config"]["layers"][1]["inbound_nodes"] == [call_of({"side": tensor("x")})]


def test_a_policy_of_keras_3_under_a_version_of_keras_2_is_refused() -> None:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 1, "dtype": policy}}
    old = {"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}}
    (message,) = refused(old, KERAS2)
    assert "d: " in message
    assert "DTypePolicy" in message


@pytest.mark.parametrize("today", [True, False])
def test_a_file_that_tells_no_version_is_what_its_config_shows(today: bool) -> None:
    """The function is the old one in a config of Keras 2, today's in one of Keras 3."""
    new, findings = migrate(model(today=today), {"config": "keras3"})
    assert not [f for f in findings if f.severity is Severity.ERROR]
    activation = new["config"]["layers"][1]["config"]["activation"]
    assert (activation == "hard_sigmoid") == today
