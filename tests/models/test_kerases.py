"""Which Keras an object is of, and what each Keras has to answer."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from kerasguard.models import kerases  # noqa: E402
from kerasguard.models.kerases import backends, facts, graphs, keras3, resources  # noqa: E402

pytestmark = pytest.mark.keras


def questions() -> dict[str, Any]:
    """What the protocol has: attributes as None, methods as their parameters."""
    found: dict[str, Any] = dict.fromkeys(facts.Keras.__annotations__)
    for name, item in vars(facts.Keras).items():
        if inspect.isfunction(item) and not name.startswith("_"):
            found[name] = list(inspect.signature(item).parameters)[1:]
    return found


def test_keras_3_answers_every_question() -> None:
    for name, parameters in questions().items():
        item = getattr(keras3, name)
        if parameters is not None:
            assert list(inspect.signature(item).parameters) == parameters, name
    assert len(questions()) >= 40


def test_objects_of_keras_3_are_told_apart() -> None:
    inputs = keras.Input((3,))
    dense = keras.layers.Dense(2)
    model = keras.Model(inputs, dense(inputs))
    model.compile("adam", "mse")
    assert kerases.of(model) is kerases.KERAS3
    assert kerases.is_layer(model)
    assert kerases.is_model(model)
    assert not kerases.is_model(dense)
    assert kerases.is_optimizer(model.optimizer)
    assert not kerases.is_optimizer(dense)
    assert kerases.is_symbolic(inputs)
    assert not kerases.is_symbolic(np.zeros(3))
    assert kerases.is_a(dense, "Dense")
    assert not kerases.is_a(dense, "RNN")
    assert not kerases.is_a(dense, "NoSuchLayer")
    assert kerases.is_metric(keras.metrics.Mean())
    assert not kerases.is_metric(dense)


def test_a_class_of_the_users_own_is_foreign() -> None:
    class Mine(keras.layers.Dense):  # type: ignore[misc,name-defined]
        pass

    assert kerases.is_foreign(Mine(1))
    assert not kerases.is_foreign(keras.layers.Dense(1))


def test_a_variable_of_tensorflow_is_none_of_keras_3() -> None:
    dense = keras.layers.Dense(2)
    dense.build((None, 3))
    raw = tf.Variable([1.0, 2.0])
    assert kerases.is_variable(dense.kernel, dense)
    assert not kerases.is_variable(raw, dense)
    assert backends.is_tensorflow_variable(raw)
    assert not backends.is_tensorflow_variable(dense)
    assert backends.resource_of(dense.kernel) is dense.kernel.value
    assert backends.resource_of(raw) is raw
    assert backends.resource_of(raw.read_value()) is None
    assert backends.components(dense.kernel) == (dense.kernel.value,)
    for value in (raw, raw.read_value(), np.array([1.0, 2.0])):
        np.testing.assert_array_equal(backends.to_numpy(value), [1.0, 2.0])
    np.testing.assert_array_equal(backends.to_numpy(dense.bias), [0.0, 0.0])


def test_what_was_read_of_a_variable_does_not_change_with_it() -> None:
    raw = tf.Variable([1.0, 2.0])
    before = resources.read(raw)
    raw.assign([3.0, 4.0])
    np.testing.assert_array_equal(before, [1.0, 2.0])
    np.testing.assert_array_equal(resources.read(raw), [3.0, 4.0])


def test_a_layer_that_is_called_twice_has_two_calls_in_the_graph() -> None:
    inputs = keras.Input((3,))
    dense = keras.layers.Dense(3)
    other = keras.Model(inputs, dense(inputs))  # a call outside the model that follows
    model = keras.Model(inputs, dense(dense(inputs)))
    assert other.built
    calls = dict(zip(model.operations, graphs.graph_calls(model), strict=True))
    assert [[t[1:] for t in call.tensors] for call in calls[dense]] == [[(0, 0)], [(0, 0)]]
    first, last = graphs.graph_ends(model)
    assert first == [(model.operations[0], 0, 0)]
    assert last == [(dense, 1, 0)]
    assert graphs.made_by(model.outputs[0])[0] is dense
