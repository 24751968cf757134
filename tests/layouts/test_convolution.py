"""Kernels of Keras 1 and of Theano, against convolutions written out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kerasguard.layouts.convolution import kernel_layouts
from kerasguard.layouts.origin import Origin
from kerasguard.planning.operations import Step, spec_of
from kerasguard.tensors import TensorSpec
from kerasguard.tensors.elements import Array

Floats = npt.NDArray[np.float64]
RNG = np.random.default_rng(0)


def converted(
    stored: Array, expected: tuple[int, ...], class_name: str, origin: Origin, ordering: str = ""
) -> Any:
    """The stored kernel as the layer of today gets it."""
    spec = TensorSpec(expected, "float32")
    ways = kernel_layouts(class_name, "kernel", spec_of(stored), spec, origin)
    return Step("k", ("k",), ways[ordering]).apply([stored])  # type: ignore[index]


def correlate(image: Floats, kernel: Floats) -> Floats:
    """What Keras 3 computes: (rows, columns, inputs) by (h, w, inputs, outputs), no padding."""
    h, w = kernel.shape[:2]
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    return np.array(
        [
            [np.tensordot(image[r : r + h, c : c + w], kernel, 3) for c in range(columns)]
            for r in range(rows)
        ]
    )


def convolve_theano(image: Floats, kernel: Floats) -> Floats:
    """What Theano computed: (inputs, rows, columns) by (outputs, inputs, h, w), kernel turned."""
    _, _, h, w = kernel.shape
    rows, columns = image.shape[1] - h + 1, image.shape[2] - w + 1
    out = np.zeros((kernel.shape[0], rows, columns))
    for r in range(rows):
        for c in range(columns):
            for i in range(h):
                for j in range(w):
                    weights = kernel[:, :, h - 1 - i, w - 1 - j]
                    out[:, r, c] += weights @ image[:, r + i, c + j]
    return out


def test_a_theano_kernel_computes_the_same_after_axes_and_rotation() -> None:
    image = RNG.standard_normal((3, 6, 7))
    kernel = RNG.standard_normal((4, 3, 2, 3))
    today = converted(kernel, (2, 3, 3, 4), "Conv2D", Origin(1, "theano"), "th")
    np.testing.assert_allclose(
        correlate(image.transpose(1, 2, 0), today).transpose(2, 0, 1),
        convolve_theano(image, kernel),
    )


def test_tensorflow_kernels_of_keras_1_are_not_rotated() -> None:
    kernel = RNG.standard_normal((4, 3, 2, 2))
    today = converted(kernel, (2, 2, 3, 4), "Conv2D", Origin(1, "tensorflow"), "th")
    assert np.array_equal(today, kernel.transpose(2, 3, 1, 0))


@pytest.mark.parametrize(
    ("class_name", "shape"),
    [
        ("Conv1D", (3, 2, 4)),
        ("Conv2D", (3, 3, 2, 4)),
        ("Conv3D", (3, 3, 3, 2, 4)),
        ("Conv2DTranspose", (3, 3, 4, 2)),
        ("ConvLSTMCell", (3, 3, 2, 16)),
    ],
)
def test_theano_kernels_of_keras_2_are_only_rotated(
    class_name: str, shape: tuple[int, ...]
) -> None:
    kernel = RNG.standard_normal(shape)
    today = converted(kernel, shape, class_name, Origin(2, "theano"))
    spatial = tuple(slice(None, None, -1) for _ in shape[:-2])
    assert np.array_equal(today, kernel[spatial])


@pytest.mark.parametrize("class_name", ["DepthwiseConv2D", "SeparableConv2D", "Dense"])
def test_theano_rotated_depthwise_kernels_itself(class_name: str) -> None:
    kernel = RNG.standard_normal((3, 3, 2, 1))
    today = converted(kernel, (3, 3, 2, 1), class_name, Origin(2, "theano"))
    assert np.array_equal(today, kernel)


@pytest.mark.parametrize(
    ("class_name", "stored", "expected", "ordering", "axes"),
    [
        ("Conv2D", (4, 3, 5, 2), (5, 2, 3, 4), "th", (2, 3, 1, 0)),
        ("Conv2D", (5, 2, 3, 4), (5, 2, 3, 4), "tf", (0, 1, 2, 3)),
        ("Conv3D", (4, 3, 5, 2, 6), (5, 2, 6, 3, 4), "th", (2, 3, 4, 1, 0)),
        ("Conv2DTranspose", (5, 2, 3, 4), (5, 2, 4, 3), "tf", (0, 1, 3, 2)),
        ("Conv2DTranspose", (4, 3, 5, 2), (5, 2, 4, 3), "th", (2, 3, 0, 1)),
        ("SeparableConv2D", (1, 3, 5, 2), (5, 2, 3, 1), "th", (2, 3, 1, 0)),
    ],
)
def test_axes_of_keras_1_kernels(
    class_name: str,
    stored: tuple[int, ...],
    expected: tuple[int, ...],
    ordering: str,
    axes: tuple[int, ...],
) -> None:
    kernel = RNG.standard_normal(stored)
    origin = Origin(1, "tensorflow")
    today = converted(kernel, expected, class_name, origin, ordering)
    assert np.array_equal(today, kernel.transpose(axes))


def test_one_dimensional_kernels_of_keras_1_lose_an_axis() -> None:
    new, old = RNG.standard_normal((3, 1, 5, 6)), RNG.standard_normal((6, 5, 3, 1))
    origin = Origin(1, "tensorflow")
    assert np.array_equal(converted(new, (3, 5, 6), "Conv1D", origin, "tf"), new[:, 0])
    today = converted(old, (3, 5, 6), "Conv1D", origin, "th")
    assert np.array_equal(today, old.transpose(2, 3, 1, 0)[:, 0])


def test_a_kernel_that_fits_both_orderings_has_two_ways() -> None:
    spec = TensorSpec((3, 3, 3, 3), "float32")
    assert set(kernel_layouts("Conv2D", "kernel", spec, spec, Origin(1))) == {"th", "tf"}


def test_a_kernel_of_another_shape_has_none() -> None:
    a, b = TensorSpec((3, 3, 2, 4), "float32"), TensorSpec((3, 3, 2, 5), "float32")
    assert kernel_layouts("Conv2D", "kernel", a, b, Origin(2)) == {}
