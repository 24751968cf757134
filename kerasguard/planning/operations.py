"""The closed set of operations that a step may apply, on specs and on arrays alike.

Each operation has `infer(spec)` and `apply(array)` with the law
`spec_of(op.apply(a)) == op.infer(spec_of(a))`, so a plan is proven on specs before one byte is
restored. `infer` raises `ValueError` where the operation does not fit. NumPy is imported by what
applies an operation: plans are made, shown and sent without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from kerasguard.tensors import TensorSpec

if TYPE_CHECKING:
    from kerasguard.tensors.elements import Array

__all__ = [
    "Cast",
    "Concat",
    "Flip",
    "Op",
    "Pick",
    "Reshape",
    "Safety",
    "Step",
    "Sum",
    "Transpose",
    "op_from_dict",
    "op_to_dict",
    "spec_of",
]


class Safety(str, Enum):
    """How much a repair is known to keep.

    EXACT: lossless and the only reading that the evidence allows. LOSSY: the right tensor, fewer
    bits. GUESS: fits, but other readings might too.
    """

    EXACT = "exact"
    LOSSY = "lossy"
    GUESS = "guess"

    @property
    def rank(self) -> int:
        """0 for EXACT, rising with risk."""
        return list(Safety).index(self)


@dataclass(frozen=True, slots=True)
class Cast:
    """Change the dtype; a lossy cast rounds to nearest, as NumPy does."""

    dtype: str

    def infer(self, spec: TensorSpec) -> TensorSpec:
        """The spec after the cast."""
        result = TensorSpec(spec.shape, self.dtype)
        _ = result.itemsize  # raises where it is not a dtype
        return result

    def apply(self, array: Array) -> Array:
        """The cast array; overflow becomes infinity silently, the dtype rule reports it."""
        import numpy as np

        from kerasguard.tensors.elements import numpy_dtype

        with np.errstate(over="ignore", invalid="ignore"):
            return array.astype(numpy_dtype(self.dtype))


@dataclass(frozen=True, slots=True)
class Transpose:
    """Permute the axes: axis i of the result is axis `axes[i]` of the input."""

    axes: tuple[int, ...]

    def infer(self, spec: TensorSpec) -> TensorSpec:
        """The spec after the permutation."""
        if sorted(self.axes) != list(range(len(spec.shape))):
            raise ValueError(f"axes {self.axes} do not permute {spec}")
        return TensorSpec(tuple(spec.shape[axis] for axis in self.axes), spec.dtype)

    def apply(self, array: Array) -> Array:
        """The permuted array."""
        import numpy as np

        return np.transpose(array, self.axes)


@dataclass(frozen=True, slots=True)
class Reshape:
    """Read the same elements, in C order, under another shape."""

    shape: tuple[int, ...]

    def infer(self, spec: TensorSpec) -> TensorSpec:
        """The spec under the new shape."""
        result = TensorSpec(self.shape, spec.dtype)
        if result.size != spec.size:
            raise ValueError(f"{spec} has {spec.size} elements, {result} has {result.size}")
        return result

    def apply(self, array: Array) -> Array:
        """The reshaped array."""
        return array.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Flip:
    """Reverse the order along some axes (a kernel rotated by 180 degrees)."""

    axes: tuple[int, ...]

    def infer(self, spec: TensorSpec) -> TensorSpec:
        """The same spec."""
        if any(axis >= len(spec.shape) for axis in self.axes):
            raise ValueError(f"axes {self.axes} are not all in {spec}")
        return spec

    def apply(self, array: Array) -> Array:
        """The flipped array."""
        import numpy as np

        return np.flip(array, self.axes)


@dataclass(frozen=True, slots=True)
class Pick:
    """Take elements by index along one axis: a slice, a gate order, a channel order."""

    axis: int
    indices: tuple[int, ...]

    def infer(self, spec: TensorSpec) -> TensorSpec:
        """The spec with the axis as long as `indices`."""
        if self.axis >= len(spec.shape) or any(i >= spec.shape[self.axis] for i in self.indices):
            raise ValueError(f"cannot pick {len(self.indices)} along axis {self.axis} of {spec}")
        shape = (*spec.shape[: self.axis], len(self.indices), *spec.shape[self.axis + 1 :])
        return TensorSpec(shape, spec.dtype)

    def apply(self, array: Array) -> Array:
        """The picked elements."""
        import numpy as np

        return np.take(array, self.indices, axis=self.axis)


@dataclass(frozen=True, slots=True)
class Sum:
    """Add up along an axis, which disappears (CuDNN keeps two biases where Keras has one)."""

    axis: int

    def infer(self, spec: TensorSpec) -> TensorSpec:
        """The spec without the axis."""
        if self.axis >= len(spec.shape):
            raise ValueError(f"{spec} has no axis {self.axis}")
        return TensorSpec((*spec.shape[: self.axis], *spec.shape[self.axis + 1 :]), spec.dtype)

    def apply(self, array: Array) -> Array:
        """The sums, in the array's own dtype."""
        import numpy as np

        return np.asarray(np.sum(array, axis=self.axis, dtype=array.dtype))


@dataclass(frozen=True, slots=True)
class Concat:
    """Join several sources along an existing axis; only ever the first op of a step."""

    axis: int

    def join(self, specs: Sequence[TensorSpec]) -> TensorSpec:
        """The spec of the joined tensor."""
        first = specs[0]
        rest = {(s.shape[: self.axis], s.shape[self.axis + 1 :], s.dtype) for s in specs}
        if len(rest) != 1 or any(self.axis >= len(s.shape) for s in specs):
            raise ValueError(f"cannot join {', '.join(map(str, specs))} along axis {self.axis}")
        length = sum(s.shape[self.axis] for s in specs)
        shape = (*first.shape[: self.axis], length, *first.shape[self.axis + 1 :])
        return TensorSpec(shape, first.dtype)

    def apply_all(self, arrays: Sequence[Array]) -> Array:
        """The joined array."""
        import numpy as np

        return np.concatenate(arrays, axis=self.axis)


Op = Cast | Transpose | Reshape | Flip | Pick | Sum
_KINDS = {
    kind.__name__.lower(): kind for kind in (Cast, Transpose, Reshape, Flip, Pick, Sum, Concat)
}


def op_to_dict(op: Op | Concat) -> dict[str, Any]:
    """JSON form of an operation."""
    fields = {name: getattr(op, name) for name in op.__dataclass_fields__}
    return {
        "op": type(op).__name__.lower(),
        **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()},
    }


def op_from_dict(data: dict[str, Any]) -> Op | Concat:
    """Law: `op_from_dict(op_to_dict(op)) == op`."""
    kind: Any = _KINDS[data["op"]]
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "op"}
    op: Op | Concat = kind(**fields)
    return op


@dataclass(frozen=True, slots=True)
class Step:
    """How one expected tensor gets its value.

    Args:
        target: expected key.
        sources: stored keys; more than one only with `join`.
        ops: applied in order after joining.
        join: how several sources become one tensor.
    """

    target: str
    sources: tuple[str, ...]
    ops: tuple[Op, ...] = ()
    join: Concat | None = None

    def infer(self, specs: Sequence[TensorSpec]) -> TensorSpec:
        """Spec of the result, from the specs of the sources. Raises ValueError if an op misfits."""
        spec = self.join.join(specs) if self.join else specs[0]
        for op in self.ops:
            spec = op.infer(spec)
        return spec

    def apply(self, arrays: Sequence[Array]) -> Array:
        """The result, C-ordered; `infer` of the specs is its spec."""
        import numpy as np

        array = self.join.apply_all(arrays) if self.join else arrays[0]
        for op in self.ops:
            array = op.apply(array)
        return np.ascontiguousarray(array).reshape(array.shape)

    def then(self, *ops: Op) -> Step:
        """This step with more operations at the end."""
        return Step(self.target, self.sources, (*self.ops, *ops), self.join)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        ops = [op_to_dict(op) for op in ((self.join,) if self.join else ()) + self.ops]
        return {"target": self.target, "sources": list(self.sources), "ops": ops}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Step:
        """Law: `Step.from_dict(s.to_dict()) == s`."""
        ops = [op_from_dict(op) for op in data["ops"]]
        join = ops.pop(0) if ops and isinstance(ops[0], Concat) else None
        assert join is None or isinstance(join, Concat)
        rest: Any = tuple(ops)
        return Step(data["target"], tuple(data["sources"]), rest, join)


def spec_of(array: Array) -> TensorSpec:
    """The spec of an array in memory."""
    return TensorSpec(tuple(array.shape), str(array.dtype.name))
