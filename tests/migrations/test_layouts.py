"""Channels first, and locally connected layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kerasguard.blueprint.axis_order import Layout
from kerasguard.migrations import migrate
from kerasguard.planning.findings import Severity


@pytest.mark.parametrize("layout", [Layout(3, 1), Layout(4, 1), Layout(5, 1), Layout(5, 2)])
def test_moving_channels_to_the_end_and_back_changes_nothing(layout: Layout) -> None:
    x = np.arange(2**layout.rank).reshape([2] * layout.rank)
    last = x.transpose([0, *layout.to_last()])
    assert (last.transpose([0, *layout.to_first()]) == x).all()
    for axis in range(layout.rank):
        assert [0, *layout.to_last()][layout.moved(axis)] == axis


def test_a_convolution_with_channels_first_stands_between_two_permutes(migrated: Any) -> None:
    config = {"filters": 2, "kernel_size": [2, 2], "data_format": "channels_first"}
    found = migrated({"class_name": "Conv2D", "config": config}, (3, 5, 6))
    assert found.config["data_format"] == "channels_last"
    permutes = [x["config"]["dims"] for x in found.layers if x["class_name"] == "Permute"]
    assert permutes == [[2, 3, 1], [3, 1, 2]]
    assert found.new["config"]["output_layers"][0] == "layer_channels_first"


@pytest.mark.keras
def test_a_convolution_with_channels_first_computes_what_it_did(
    migrated: Any, build: Callable[..., Any]
) -> None:
    config = {"filters": 2, "kernel_size": [1, 1], "data_format": "channels_first"}
    model = build(migrated({"class_name": "Conv2D", "config": config}, (3, 5, 6)).new)
    kernel, bias = np.arange(6.0).reshape(1, 1, 3, 2), np.ones(2)
    model.set_weights([kernel, bias])
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 6))
    expected = np.einsum("bchw,cf->bfhw", x, kernel[0, 0]) + 1
    assert np.allclose(model.predict(x, verbose=0), expected, atol=1e-5)


@pytest.mark.keras
def test_between_convolutions_nothing_is_permuted(build: Callable[..., Any]) -> None:
    conv = {"filters": 2, "kernel_size": [2, 2], "data_format": "channels_first"}
    layers = [
        {
            "class_name": "Conv2D",
            "config": {"name": "a", "batch_input_shape": [None, 3, 9, 9], **conv},
        },
        {"class_name": "BatchNormalization", "config": {"name": "n", "axis": [1]}},
        {"class_name": "Activation", "config": {"name": "r", "activation": "relu"}},
        {"class_name": "Conv2D", "config": {"name": "b", **conv}},
        {"class_name": "Flatten", "config": {"name": "f", "data_format": "channels_first"}},
    ]
    new, _ = migrate({"class_name": "Sequential", "config": layers}, {"keras": "2.1.6"})
    kinds = [layer["class_name"] for layer in new["config"]["layers"]]
    assert kinds.count("Permute") == 1
    assert new["config"]["layers"][3]["config"]["axis"] == 3
    assert build(new).output_shape == (None, 2 * 7 * 7)


LSTM: dict[str, Any] = {
    "filters": 2,
    "kernel_size": [2, 3],
    "padding": "same",
    "data_format": "channels_first",
    "recurrent_activation": "sigmoid",
}


def recurrent(
    config: dict[str, Any], count: int, merge_mode: str | None = "", given: bool = False
) -> Any:
    """A functional model of Keras 2 of one ConvLSTM2D, with all that it makes as outputs."""
    layer: dict[str, Any] = {
        "class_name": "ConvLSTM2D",
        "config": {"name": "c", **LSTM, **config},
    }
    if merge_mode != "":
        wrapper = {"name": "c", "layer": layer, "merge_mode": merge_mode}
        layer = {"class_name": "Bidirectional", "config": wrapper}
    shapes = {"x": [None, 3, 3, 4, 5], "h": [None, 2, 4, 5], "s": [None, 2, 4, 5]}
    names = ["x", "h", "s"] if given else ["x"]
    inputs: list[Any] = [
        {
            "class_name": "InputLayer",
            "name": name,
            "config": {"name": name, "batch_input_shape": shapes[name]},
            "inbound_nodes": [],
        }
        for name in names
    ]
    calls: list[Any] = [[[name, 0, 0, {}] for name in names]]
    layer |= {"name": "c", "inbound_nodes": calls}
    ends = {
        "input_layers": [[name, 0, 0] for name in names],
        "output_layers": [["c", 0, n] for n in range(count)],
    }
    return {"class_name": "Functional", "config": {"name": "m", "layers": [*inputs, layer], **ends}}


def computed(weights: Any, x: Any, states: Any = None, backwards: bool = False) -> list[Any]:
    """Sequence, output and states of such a layer, computed with channels last."""
    import keras

    options = {**LSTM, "data_format": "channels_last"}
    layer = keras.layers.ConvLSTM2D(**options, return_sequences=True, return_state=True)
    last = np.moveaxis(x, 2, -1)[:, :: -1 if backwards else 1]
    layer.build(last.shape)
    layer.set_weights(weights)
    given = None if states is None else [np.moveaxis(s, 1, -1) for s in states]
    made = [np.moveaxis(np.array(y), -1, -3) for y in layer(last, initial_state=given)]
    sequence = made[0][:, :: -1 if backwards else 1]
    return [sequence, made[1], *made[1:]]


def seeded(model: Any) -> list[Any]:
    generator = np.random.default_rng(3)
    weights = [generator.normal(size=w.shape).astype("float32") for w in model.weights]
    model.set_weights(weights)
    return weights


@pytest.mark.keras
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_states_of_a_recurrent_convolution_are_turned_like_its_outputs(
    build: Callable[..., Any], sequences: bool, given: bool
) -> None:
    old = recurrent({"return_sequences": sequences, "return_state": True}, 3, given=given)
    model = build(migrate(old, {"keras": "2.11.0"})[0])
    weights, generator = seeded(model), np.random.default_rng(4)
    x = generator.normal(size=(2, 3, 3, 4, 5)).astype("float32")
    states = [generator.normal(size=(2, 2, 4, 5)).astype("float32") for _ in range(2)]
    sequence, output, *after = computed(weights, x, states if given else None)
    found = model.predict([x, *states] if given else x, verbose=0)
    expected = [sequence if sequences else output, *after]
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, atol=1e-5)


@pytest.mark.keras
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
def test_both_directions_of_a_recurrent_convolution_are_joined_where_they_were(
    build: Callable[..., Any], sequences: bool, merge_mode: str | None
) -> None:
    count = 2 if merge_mode is None else 1
    old = recurrent({"return_sequences": sequences}, count, merge_mode)
    model = build(migrate(old, {"keras": "2.11.0"})[0])
    weights = seeded(model)
    x = np.random.default_rng(4).normal(size=(2, 3, 3, 4, 5)).astype("float32")
    forth, back = computed(weights[:3], x), computed(weights[3:], x, backwards=True)
    ends = [made[0 if sequences else 1] for made in (forth, back)]
    joined = {"concat": [np.concatenate(ends, -1)], "sum": [sum(ends)], None: ends}[merge_mode]
    found = model.predict(x, verbose=0)
    for one, other in zip([found] if count == 1 else found, joined, strict=True):
        assert np.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("wrapped", [False, True])
def test_channels_first_that_cannot_be_turned_is_refused(wrapped: bool) -> None:
    """Where the input's shape is not told, and where states' places would be others."""
    options = {"filters": 2, "kernel_size": [2, 2], "data_format": "channels_first"}
    layer = {"class_name": "Conv2D", "config": {"name": "c", **options}}
    if wrapped:
        config = {"name": "c", "return_state": True, **options}
        inner = {"class_name": "ConvLSTM2D", "config": config}
        shape = {"batch_input_shape": [None, 4, 3, 9, 9]}
        layer = {"class_name": "Bidirectional", "config": {"name": "b", "layer": inner, **shape}}
    old = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    _, findings = migrate(old, {"keras": "2.11.0"})
    errors = [f for f in findings if f.severity is Severity.ERROR]
    assert [(f.code, f.key) for f in errors] == [("KG432", "c")]
    assert "kerasguard.load(path, model=model)" in errors[0].message


def test_paddings_with_channels_first_are_computed_everywhere_and_stay() -> None:
    options = {"name": "z", "padding": 1, "data_format": "channels_first"}
    layer = {"class_name": "ZeroPadding2D", "config": options}
    old = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    new, findings = migrate(old, {"keras": "2.11.0"})
    assert not [f for f in findings if f.severity is Severity.ERROR]
    assert new["config"]["layers"][0]["config"]["data_format"] == "channels_first"
