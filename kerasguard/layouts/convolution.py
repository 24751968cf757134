"""Kernels of convolutions: axes of Keras 1, and the rotation that Theano needs.

Keras 1 kept kernels with the outputs first under `dim_ordering="th"`, whatever the backend, kept
1D kernels as 2D ones, and had the last two axes of transposed convolutions the other way round.
Theano computed convolutions, everybody else correlations: its kernels are rotated by 180 degrees.
It rotated depthwise and separable kernels itself, so these are left alone.
"""

from __future__ import annotations

from kerasguard.layouts.origin import Ordering, Origin
from kerasguard.planning.operations import Flip, Op, Reshape, Step, Transpose
from kerasguard.tensors import TensorSpec

__all__ = ["fitting", "kernel_layouts", "outputs_first"]

_ROTATED = (
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "ConvLSTM",
)
_OUTPUTS_FIRST = {4: (2, 3, 1, 0), 5: (2, 3, 4, 1, 0)}


def kernel_layouts(
    class_name: str, variable: str, stored: TensorSpec, expected: TensorSpec, origin: Origin
) -> dict[Ordering, tuple[Op, ...]]:
    """Every way in which a stored kernel can become the expected one, by the writer's ordering.

    Empty where none fits. Tensors that are not kernels of a convolution have one way: as they are.
    """
    if not _is_kernel(class_name, variable, expected):
        return fitting({"": ()}, stored, expected)
    ways = _keras1(class_name, stored) if origin.major < 2 else {}
    fits = fitting(ways or {"": ()}, stored, expected)
    if origin.convolves and class_name.startswith(_ROTATED):
        spatial = tuple(range(len(expected.shape) - 2))
        fits = {ordering: (*ops, Flip(spatial)) for ordering, ops in fits.items()}
    return fits


def fitting(
    ways: dict[Ordering, tuple[Op, ...]], stored: TensorSpec, expected: TensorSpec
) -> dict[Ordering, tuple[Op, ...]]:
    """Those of `ways` that lead from the stored to the expected shape."""
    return {k: ops for k, ops in ways.items() if _leads(ops, stored, expected)}


def outputs_first(step: Step) -> bool:
    """Whether a step reads a kernel of a convolution that had the outputs first."""
    turned = (*_OUTPUTS_FIRST.values(), (2, 3, 0, 1))
    return any(isinstance(op, Transpose) and op.axes in turned for op in step.ops)


def _leads(ops: tuple[Op, ...], stored: TensorSpec, expected: TensorSpec) -> bool:
    spec = stored
    for op in ops:
        try:
            spec = op.infer(spec)
        except ValueError:
            return False
    return spec.shape == expected.shape


def _is_kernel(class_name: str, variable: str, expected: TensorSpec) -> bool:
    return "Conv" in class_name and variable.endswith("kernel") and len(expected.shape) >= 3


def _keras1(class_name: str, stored: TensorSpec) -> dict[Ordering, tuple[Op, ...]]:
    """The two orderings of Keras 1, as operations towards today's order of axes."""
    shape = stored.shape
    if class_name.startswith("Conv1D") and len(shape) == 4:
        length, _, inputs, outputs = shape
        tf = (Reshape((length, inputs, outputs)),)
        outputs, inputs, length, _ = shape
        th = (Transpose((2, 3, 1, 0)), Reshape((length, inputs, outputs)))
        ways: dict[Ordering, tuple[Op, ...]] = {"tf": tf} if shape[1] == 1 else {}
        return {**ways, "th": th} if shape[3] == 1 else ways
    if class_name == "Conv2DTranspose" and len(shape) == 4:
        return {"tf": (Transpose((0, 1, 3, 2)),), "th": (Transpose((2, 3, 0, 1)),)}
    axes = _OUTPUTS_FIRST.get(len(shape))
    return {"tf": (), "th": (Transpose(axes),)} if axes else {}
