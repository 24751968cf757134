"""The tables of what Keras 3 has, against the Keras that is installed."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.blueprint.keras3 import CLOSED, COMMON, LAYERS
from kerasguard.blueprint.keras3_operations import OPERATIONS
from kerasguard.blueprint.keras3_parts import (
    ACTIVATIONS,
    CONSTRAINTS,
    INITIALIZERS,
    REGULARIZERS,
)
from kerasguard.blueprint.operations import FUNCTIONS

pytestmark = pytest.mark.keras
READ_OFF = (3, 15)


def check(differing: list[str]) -> None:
    """No difference, unless a newer Keras has outgrown the tables: the run then says so."""
    import keras

    if differing and tuple(map(int, keras.__version__.split(".")[:2])) > READ_OFF:
        pytest.skip(f"Keras {keras.__version__} has outgrown the table: {', '.join(differing)}")
    assert not differing


def test_every_layer_in_the_table_takes_the_arguments_it_lists() -> None:
    keras = pytest.importorskip("keras")
    differing = []
    for name, arguments in LAYERS.items():
        parameters = set(inspect.signature(getattr(keras.layers, name).__init__).parameters)
        own = parameters - {"self", "args", "kwargs"}
        odd = (arguments - parameters) | (own - arguments - CLOSED.get(name, COMMON))
        differing += [f"{name}({argument})" for argument in sorted(odd)]
    check(differing)


# What runs another framework's programs, and what is nothing by itself.
_NO_LAYERS = {"FlaxLayer", "JaxLayer", "Layer", "TFSMLayer", "TorchModuleWrapper", "Wrapper"}


def test_every_layer_that_keras_offers_is_in_the_table() -> None:
    layers = pytest.importorskip("keras").layers
    offered = {n: c for n, c in vars(layers).items() if inspect.isclass(c)}
    others = {
        name
        for name, cls in offered.items()
        if issubclass(cls, layers.Layer) and (name == cls.__name__ or cls.__name__ not in offered)
    }
    check(sorted(others - set(LAYERS) - _NO_LAYERS))


@pytest.mark.parametrize(
    ("module", "table"),
    [("initializers", INITIALIZERS), ("regularizers", REGULARIZERS), ("constraints", CONSTRAINTS)],
)
def test_every_object_in_the_table_takes_the_arguments_it_lists(
    module: str, table: dict[str, frozenset[str]]
) -> None:
    keras = pytest.importorskip("keras")
    for name, arguments in table.items():
        found = getattr(getattr(keras, module), name)
        assert arguments <= set(inspect.signature(found.__init__).parameters), name


def test_every_activation_in_the_table_exists() -> None:
    keras = pytest.importorskip("keras")
    assert not {name for name in ACTIVATIONS if not hasattr(keras.activations, name)}


def test_every_operation_in_the_table_exists_and_takes_its_options() -> None:
    keras = pytest.importorskip("keras")
    for function, operation in FUNCTIONS.items():
        for number, step in enumerate(operation.steps):
            module, _, name = step.lstrip("*").partition(".")
            home = (
                keras.layers
                if module == "layers"
                else importlib.import_module(f"keras.src.ops.{module}")
            )
            parameters = inspect.signature(getattr(home, name).__init__).parameters
            wanted = set(operation.options) if number == 0 else set()
            assert wanted <= set(parameters), function


def test_every_operation_lives_in_the_module_that_the_table_says() -> None:
    pytest.importorskip("keras")
    places = OPERATIONS.items()
    check([n for n, module in places if not hasattr(importlib.import_module(module), n)])


@pytest.mark.filterwarnings("ignore")
def test_a_layer_whose_class_has_another_name_than_keras_offers_it_under(tmp_path: Path) -> None:
    """`.h5` files have the class's own."""
    keras = pytest.importorskip("keras")
    x = keras.Input((5, 8))
    model = keras.Model(x, keras.layers.GroupQueryAttention(4, 4, 2)(x, x))
    model.save(tmp_path / "a.h5")
    again = kg.load(tmp_path / "a.h5")
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
