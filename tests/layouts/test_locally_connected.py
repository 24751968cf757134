"""Kernels of locally connected layers, in each of the three ways in which Keras 2 kept them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kerasguard.layouts import as_dense
from kerasguard.layouts.locally_connected import local_kernel
from kerasguard.planning.operations import Step
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec

Json = dict[str, Any]
# sizes of the input, kernel, strides, padding, data format
LAYERS = [
    ((7,), (3,), (1,), "valid", "channels_last"),
    ((7,), (3,), (2,), "valid", "channels_last"),
    ((6,), (2,), (2,), "same", "channels_last"),
    ((5,), (4,), (1,), "same", "channels_first"),
    ((4, 5), (2, 3), (1, 2), "valid", "channels_first"),
    ((4, 3), (3, 2), (1, 1), "same", "channels_last"),
]
CHANNELS, FILTERS = 2, 3


def _places(layer: Any) -> tuple[int, ...]:
    sizes, kernel, strides, padding, _ = layer
    parts = zip(sizes, kernel, strides, strict=True)
    return tuple(-(-n // s) if padding == "same" else (n - k + s) // s for n, k, s in parts)


def _connected(layer: Any, place: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The inputs of one output, by the definition in Keras 2: a range along every axis."""
    sizes, kernel, strides, padding, _ = layer
    ranges = []
    for at, n, k, s in zip(place, sizes, kernel, strides, strict=True):
        start = at * s - (k // 2 if padding == "same" else 0)
        ranges.append(range(max(0, start), min(n, start + k)))
    return list(itertools.product(*ranges))


def _full(layer: Any, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A number for every input and output, zero where they are not connected; channels last."""
    sizes, places = layer[0], _places(layer)
    full = np.zeros((*sizes, CHANNELS, *places, FILTERS), "float32")
    for place in itertools.product(*map(range, places)):
        for where in _connected(layer, place):
            index: tuple[Any, ...] = (*where, slice(None), *place)
            full[index] = rng.normal(size=(CHANNELS, FILTERS))
    return full


def _stored(layer: Any, full: np.ndarray[Any, Any], implementation: int) -> np.ndarray[Any, Any]:
    """What Keras 2 wrote: the whole, or only the connected pairs sorted by output and input."""
    rank = len(layer[0])
    if layer[4] == "channels_first":
        full = np.moveaxis(np.moveaxis(full, -1, rank + 1), rank, 0)
    if implementation == 2:
        return full
    inputs = int(np.prod(full.shape[: rank + 1]))
    return np.asarray([w for row in full.reshape(inputs, -1).T for w in row if w != 0], "float32")


def _predicted(layer: Any, kernel: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> Any:
    """Patches times the converted kernel, as the EinsumDense computes it."""
    _, size, strides, padding, data_format = layer
    room = [(k // 2 if padding == "same" else 0, 2 * k) for k in size]
    padded = np.pad(x, [*room, (0, 0)])
    result = np.zeros((*_places(layer), FILTERS))
    for place in itertools.product(*map(range, _places(layer))):
        cut = tuple(slice(a * s, a * s + k) for a, s, k in zip(place, strides, size, strict=True))
        patch = padded[cut]
        patch = np.moveaxis(patch, -1, 0) if data_format == "channels_first" else patch
        result[place] = patch.reshape(-1) @ kernel[place]
    return result


@pytest.mark.parametrize("implementation", [2, 3])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_locally_connected_kernel_computes_what_it_did(layer: Any, implementation: int) -> None:
    rng = np.random.default_rng(0)
    full = _full(layer, rng)
    stored = _stored(layer, full, implementation)
    config: Json = {"kernel_size": list(layer[1]), "strides": list(layer[2]), "padding": layer[3]}
    config |= {"data_format": layer[4], "implementation": implementation}
    patch = int(np.prod(layer[1])) * CHANNELS
    expected = TensorSpec((*_places(layer), patch, FILTERS), "float32")
    ops = local_kernel(TensorSpec(stored.shape, "float32"), expected, config)
    assert ops is not None
    x = rng.normal(size=(*layer[0], CHANNELS)).astype("float32")
    rank = len(layer[0])
    wanted = np.tensordot(x, full, axes=rank + 1)
    found = _predicted(layer, Step("to", ("from",), ops).apply([stored]), x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_first_implementation_only_needs_another_shape() -> None:
    stored = np.arange(6 * 4 * 3, dtype="float32").reshape(6, 4, 3)
    expected = TensorSpec((2, 3, 4, 3), "float32")
    ops = local_kernel(TensorSpec(stored.shape, "float32"), expected, {"kernel_size": [2, 1]})
    assert ops is not None
    found = Step("to", ("from",), ops).apply([stored])
    np.testing.assert_array_equal(found, stored.reshape(expected.shape))


@pytest.mark.parametrize("implementation", [1, 2, 3])
def test_a_kernel_of_another_layer_is_no_locally_connected_kernel(implementation: int) -> None:
    config = {"kernel_size": [3], "strides": [1], "implementation": implementation}
    shape = (7, 2, 4, 3) if implementation == 2 else (41,)
    expected = TensorSpec((5, 6, 3), "float32")
    assert local_kernel(TensorSpec(shape, "float32"), expected, config) is None


def test_a_file_with_keys_is_shown_with_the_dense_layer_of_today() -> None:
    spec, dense = TensorSpec((4, 6, 5), "float32"), TensorSpec((4, 6, 5), "float32")
    slot = TensorRecord("o/1", spec, role="optimizer", slot="m", slot_of="l/local/0")
    stored = Table(
        {
            "l/local/0": TensorRecord("l/local/0", TensorSpec((120,), "float32"), layer="l/local"),
            "l/local/1": TensorRecord("l/local/1", TensorSpec((4, 5), "float32"), layer="l/local"),
            "o/1": replace(slot, spec=TensorSpec((120,), "float32")),
        },
        {"l/local": LayerRecord("l/local", "mine", "LocallyConnected1D")},
    )
    expected = Table(
        {
            "l/dense/0": TensorRecord("l/dense/0", dense, variable="kernel", layer="l/dense"),
            "l/dense/1": TensorRecord(
                "l/dense/1", TensorSpec((4, 5), "float32"), variable="bias", layer="l/dense"
            ),
        },
        {"l/dense": LayerRecord("l/dense", "mine", "EinsumDense")},
    )
    config = {"name": "mine", "kernel_size": [3], "strides": [1], "implementation": 3}
    architecture = {"class_name": "LocallyConnected1D", "config": config}
    shown, first = as_dense(stored, expected, architecture, {"keras": "2.15.0"})
    assert shown.layers["l/local"].class_name == "EinsumDense"
    assert {key: record.spec for key, record in shown.tensors.items()} == {
        "l/local/0": dense,
        "l/local/1": TensorSpec((4, 5), "float32"),
        "o/1": dense,
    }
    assert set(first) == {"l/local/0", "o/1"}
    row = np.arange(120, dtype="float32")
    kernel = Step("k", ("l/local/0",), first["l/local/0"]).apply([row])
    assert kernel.shape == (4, 6, 5)
    assert sorted(kernel.ravel().tolist()) == row.tolist()


def test_a_file_whose_tensors_do_not_fit_the_config_stays_as_it_is() -> None:
    tensor = TensorRecord("l/local/0", TensorSpec((7,), "float32"), layer="l/local")
    stored = Table(
        {tensor.key: tensor}, {"l/local": LayerRecord("l/local", "mine", "LocallyConnected1D")}
    )
    kernel = TensorRecord(
        "l/dense/0", TensorSpec((4, 6, 5), "float32"), variable="kernel", layer="l/dense"
    )
    expected = Table(
        {kernel.key: kernel}, {"l/dense": LayerRecord("l/dense", "mine", "EinsumDense")}
    )
    config = {"name": "mine", "kernel_size": [3], "implementation": 3}
    told = {"class_name": "LocallyConnected1D", "config": config}
    assert as_dense(stored, expected, told, {"keras": "2.15.0"}) == (stored, {})
    assert as_dense(stored, expected, None, {"keras": "2.15.0"}) == (stored, {})
