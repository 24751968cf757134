"""A file's config names no code that the caller did not supply."""

from __future__ import annotations

from typing import Any

import pytest

from kerasguard.migrations import migrate
from kerasguard.planning.findings import Severity

WRITER = {"keras": "3.15.1", "config": "keras3"}


def model(**layer: Any) -> dict[str, Any]:
    """A Sequential of one layer."""
    entry = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 2}}
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [{**entry, "registered_name": None, **layer}]},
        "registered_name": "Sequential",
    }


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def refused(architecture: dict[str, Any], known: frozenset[str] = frozenset()) -> list[str]:
    _, findings = migrate(architecture, WRITER, known)
    return [f.message for f in findings if f.code == "KG431" and f.severity is Severity.ERROR]


def test_a_model_of_keras_layers_is_left_as_it_is() -> None:
    activation = function("keras.activations", "relu")
    architecture = model(config={"name": "d", "units": 2, "activation": activation})
    assert refused(architecture) == []
    assert migrate(architecture, WRITER)[0] == architecture


@pytest.mark.parametrize("module", ["keras_cv.layers", "antigravity", "kerasx"])
def test_a_class_of_another_package_is_refused_unless_supplied(module: str) -> None:
    foreign = model(module=module, class_name="Thing", registered_name="Thing")
    (message,) = refused(foreign)
    assert module.partition(".")[0] in message
    assert 'custom_objects={"Thing": Thing}' in message
    assert refused(foreign, frozenset({"Thing"})) == []


@pytest.mark.parametrize(
    ("module", "name"),
    [("keras.config", "set_floatx"), ("keras.utils", "get_file"), ("os", "system")],
)
def test_a_function_that_computes_nothing_is_refused(module: str, name: str) -> None:
    config = {"name": "d", "units": 2, "activation": function(module, name)}
    (message,) = refused(model(config=config))
    assert message.startswith("d: ")
    assert name in message


@pytest.mark.parametrize("class_name", ["TFSMLayer", "TorchModuleWrapper"])
def test_layers_that_run_what_a_file_names_are_refused(class_name: str) -> None:
    assert any(class_name in message for message in refused(model(class_name=class_name)))


def test_references_are_found_in_the_compile_config_too() -> None:
    architecture = model()
    architecture["compile_config"] = {"optimizer": {"module": "evil", "class_name": "X"}}
    assert "evil" in refused(architecture)[0]
