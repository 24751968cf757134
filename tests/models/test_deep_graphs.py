"""Graphs of any depth are put together, and as Keras puts them together."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

import kerasguard as kg  # noqa: E402
from kerasguard.models.fast_build import less_work  # noqa: E402


def diamond() -> Any:
    first, second = keras.Input((4,)), keras.Input((4,))
    shared = keras.layers.Dense(4)
    left = shared(keras.layers.Add()([first, second]))
    right = shared(keras.layers.ReLU()(first))
    both = keras.layers.Concatenate()([right, left, left])
    return [first, second], [keras.layers.Dense(2)(both), left, keras.layers.Dense(1)(right)]


def inner() -> Any:
    """A model whose input is a tensor in the middle of another."""
    _, outputs = diamond()
    middle = outputs[1]
    return [middle], [keras.layers.Dense(3)(keras.layers.ReLU()(middle))]


@pytest.mark.parametrize("graph", [diamond, inner])
def test_a_graph_has_the_order_that_keras_gives_it(graph: Any) -> None:
    from keras.src.ops.function import map_graph

    inputs, outputs = graph()
    stock = map_graph(inputs, outputs)
    with less_work():
        assert map_graph(inputs, outputs) == stock


@pytest.fixture
def depth() -> Iterator[int]:
    """More layers than Python may have calls inside calls."""
    before, limit = sys.getrecursionlimit(), 250
    sys.setrecursionlimit(len(inspect.stack(0)) + limit)
    yield limit
    sys.setrecursionlimit(before)


def test_more_layers_in_a_row_than_python_has_calls(depth: int, tmp_path: Path) -> None:
    with less_work():
        x = inputs = keras.Input((1,))
        for _ in range(depth):
            x = keras.layers.Dense(1)(x)
        model = keras.Model(inputs, x)
    path = tmp_path / "deep.weights.h5"
    with kg.patched(log_to_mlflow=False):
        model.save_weights(path)
    before = model.get_weights()
    for variable in model.weights:
        variable.assign(variable + 1.0)
    assert kg.verify(path).ok
    kg.load(path, model)
    assert all(map(np.array_equal, before, model.get_weights()))
