"""Gates of Keras 1 and cuDNN's tensors, against writers that are spelled out here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasguard.layouts import legacy_steps
from kerasguard.planning.operations import spec_of
from kerasguard.tensors import TensorRecord
from kerasguard.tensors.elements import Array

KERAS1 = {"keras": "1.2.2", "backend": "tensorflow"}
KERAS2 = {"keras": "2.2.4", "backend": "tensorflow"}


def records(arrays: Mapping[str, Array], layer: str = "rnn") -> list[TensorRecord]:
    """The records of one layer's arrays, by variable."""
    return [
        TensorRecord(f"{layer}/{name}", spec_of(array), f"{layer}/{name}", name, layer)
        for name, array in arrays.items()
    ]


def restored(
    stored: Mapping[str, Array], today: Mapping[str, Array], writer: Mapping[str, str]
) -> dict[str, Array] | None:
    """What the steps make of the stored arrays, by today's variable."""
    steps = legacy_steps(records(today, "cell"), records(stored), writer)
    if steps is None:
        return None
    by_key = {f"rnn/{name}": array for name, array in stored.items()}
    return {s.target.split("/")[1]: s.apply([by_key[k] for k in s.sources]) for s in steps}


def weights(inputs: int, units: int, gates: int, *, rows: int = 0) -> dict[str, Array]:
    """Today's arrays of a recurrent layer; `rows` of biases for GRU's `reset_after`."""
    rng = np.random.default_rng(inputs * 100 + units)
    width = gates * units
    bias = (rows, width) if rows else (width,)
    shapes = {"kernel": (inputs, width), "recurrent_kernel": (units, width), "bias": bias}
    return {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}


def keras1(today: Mapping[str, Array], stored_gates: str, gates: str) -> dict[str, Array]:
    """One array per gate and part, in the order in which Keras 1 made them."""
    blocks = {name: np.split(array, len(gates), axis=-1) for name, array in today.items()}
    parts = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
    return {
        f"{part}_{gate}": blocks[name][gates.index(gate)]
        for gate in stored_gates
        for part, name in parts.items()
    }


def cudnn(today: Mapping[str, Array], gates: int) -> dict[str, Array]:
    """What a CuDNN layer with the same function keeps."""
    kernel, recurrent = (
        np.split(today[name], gates, axis=1) for name in ("kernel", "recurrent_kernel")
    )
    bias = today["bias"]
    if bias.ndim == 1:
        half = np.linspace(-1, 1, bias.size, dtype="f4")
        bias = np.stack([half, bias - half])
    return {
        "kernel": np.hstack([k.T.reshape(k.shape) for k in kernel]),
        "recurrent_kernel": np.hstack([k.T for k in recurrent]),
        "bias": bias.reshape(-1),
    }


def same(found: Mapping[str, Array] | None, today: Mapping[str, Array]) -> bool:
    """Whether all arrays are equal, up to the rounding of one addition."""
    return found is not None and all(
        np.allclose(found[name], array, rtol=0, atol=1e-6) for name, array in today.items()
    )


sizes = st.integers(1, 5)


@given(sizes, sizes)
def test_twelve_arrays_of_keras_1_are_an_lstm(inputs: int, units: int) -> None:
    today = weights(inputs, units, 4)
    stored = keras1(today, "icfo", "ifco")
    assert list(stored)[:4] == ["W_i", "U_i", "b_i", "W_c"]
    assert same(restored(stored, today, KERAS1), today)


@given(sizes, sizes)
def test_nine_arrays_of_keras_1_are_a_gru(inputs: int, units: int) -> None:
    today = weights(inputs, units, 3)
    assert same(restored(keras1(today, "zrh", "zrh"), today, KERAS1), today)


def test_gates_without_names_are_taken_in_their_order() -> None:
    today = weights(2, 3, 4)
    arrays = keras1(today, "icfo", "ifco").values()
    stored = {f"param_{n}": array for n, array in enumerate(arrays)}
    assert same(restored(stored, today, {"keras": "1"}), today)


@given(sizes, sizes)
def test_cudnn_lstm_is_an_lstm(inputs: int, units: int) -> None:
    today = weights(inputs, units, 4)
    assert same(restored(cudnn(today, 4), today, KERAS2), today)


@given(sizes, sizes)
def test_cudnn_gru_is_a_gru_that_resets_after(inputs: int, units: int) -> None:
    today = weights(inputs, units, 3, rows=2)
    assert same(restored(cudnn(today, 3), today, KERAS2), today)


@pytest.mark.parametrize("gates", [3, 4])
def test_plain_recurrent_layers_are_taken_as_they_are(gates: int) -> None:
    today = weights(2, 3, gates)
    steps = legacy_steps(records(today, "cell"), records(today), KERAS2)
    assert steps is not None
    assert all(not s.ops and s.join is None for s in steps)


@pytest.mark.parametrize(
    ("stored", "today"),
    [
        (weights(2, 3, 3), weights(2, 3, 3, rows=2)),
        (weights(2, 3, 3, rows=2), weights(2, 3, 3)),
        (cudnn(weights(2, 3, 3, rows=2), 3), weights(2, 3, 3)),
    ],
)
def test_a_gru_that_resets_elsewhere_has_no_layout(
    stored: Mapping[str, Array], today: Mapping[str, Array]
) -> None:
    assert restored(stored, today, KERAS2) is None


def test_gates_of_a_bidirectional_layer_stay_with_their_direction() -> None:
    forward, backward = weights(2, 3, 4), weights(3, 3, 4)
    backward["kernel"] = backward["kernel"][:2]
    expected: list[TensorRecord] = []
    stored: list[TensorRecord] = []
    values: dict[str, Array] = {}
    for direction, today in (("backward", backward), ("forward", forward)):
        for record in records(today, f"bi/{direction}_layer/cell"):
            name = f"bi/{direction}_lstm/cell/{record.variable}"
            expected.append(
                TensorRecord(record.key, record.spec, name, record.variable, record.layer)
            )
    for direction, today in (("forward", forward), ("backward", backward)):
        for variable, array in keras1(today, "icfo", "ifco").items():
            name = f"{direction}_lstm_1_{variable}:0"
            stored.append(TensorRecord(name, spec_of(array), f"bi/{name}", variable, "bi"))
            values[name] = array
    steps = legacy_steps(expected, stored, KERAS1)
    assert steps is not None
    for step in steps:
        side: Mapping[str, Array] = forward if "forward" in step.target else backward
        found = step.apply([values[key] for key in step.sources])
        assert np.array_equal(found, side[step.target.rsplit("/", 1)[1]])


def test_layers_are_never_told_apart_by_luck() -> None:
    """Eight records that fit nothing give no steps instead of a guess."""
    arrays: Sequence[Array] = [np.ones((2, 2), "f4")] * 8
    stored = records({f"x_{n}": array for n, array in enumerate(arrays)})
    assert legacy_steps(records(weights(2, 2, 4), "cell"), stored, KERAS1) is None
