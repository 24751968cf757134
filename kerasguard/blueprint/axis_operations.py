"""Functions of TensorFlow that go along an axis and take several operations of Keras 3.

Each takes the call's parameters by name, as in `special_operations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasguard.blueprint.computation import (
    PREVIOUS,
    Plan,
    Unsupported,
    constant,
    one,
    slice_part,
    static,
)
from kerasguard.blueprint.objects import Json

__all__ = ["AXES", "BATCH_FILLED"]

BATCH_FILLED = "__batch_filled__"
"""`zeros`, `ones` and `fill` where the first size is the batch size of another tensor."""


def _along(axis: int, start: int | None, stop: int | None) -> list[Any]:
    """A slice along one axis, for a tensor of any rank."""
    part: Json = {"start": start, "stop": stop}
    whole: Json = {"start": None}
    before = [whole] * axis if axis >= 0 else [{"class_name": "__ellipsis__"}]
    return [slice_part(x) for x in (*before, part, *[whole] * (-axis - 1))]


def _cumulate(given: Json) -> Plan:
    """Cumulative sums and products, from either end, with or without the element itself."""
    kind = "numpy.Cumprod" if "cumprod" in given["function"] else "numpy.Cumsum"
    neutral = "numpy.OnesLike" if "cumprod" in given["function"] else "numpy.ZerosLike"
    axis, x = static(given.get("axis") or 0, "the axis"), given["x"]
    backwards = bool(given.get("reverse"))
    along = {"axis": axis}
    tensors: tuple[Any, ...] = (x,)
    steps: list[tuple[str, Json]] = []
    arguments: dict[int, tuple[Any, ...]] = {}
    if given.get("exclusive"):
        # One step later: a neutral element comes in at one end, the other end's falls out.
        joined, kept = ([PREVIOUS, x], (None, -1)) if not backwards else ([x, PREVIOUS], (1, None))
        tensors = (x, _along(axis, 0, 1))
        steps = [("numpy.GetItem", {}), (neutral, {}), ("numpy.Concatenate", along)]
        steps.append(("numpy.GetItem", {}))
        arguments = {2: (joined,), 3: (PREVIOUS, _along(axis, *kept))}
    turned = [("numpy.Flip", along)] if backwards else []
    return Plan(tensors, (*steps, *turned, (kind, along), *turned), arguments)


def _crelu(given: Json) -> Plan:
    x, axis = given["features"], static(given.get("axis", -1), "the axis")
    joined: Json = {"axis": axis}
    steps: tuple[tuple[str, Json], ...] = (
        ("numpy.Negative", {}),
        ("numpy.Concatenate", joined),
        ("nn.Relu", {}),
    )
    return Plan((x,), steps, {1: ([x, PREVIOUS],)})


def _gather(given: Json) -> Plan:
    """`gather`, also with an index of its own for each element of the first axes."""
    batch, axis = given.get("batch_dims") or 0, given.get("axis")
    axis = static((batch if axis is None else axis), "the axis")
    params, indices = given["params"], given["indices"]
    if not batch:
        return Plan((params, indices), (("numpy.Take", {"axis": axis}),))
    ranks = given["rank"](params), given["rank"](indices)
    if None in ranks:
        raise Unsupported(f"batch_dims={batch} of tensors of unknown rank is not in Keras 3")
    axis = axis + ranks[0] if axis < 0 else axis
    batch = batch + ranks[1] if batch < 0 else batch
    if axis != batch or ranks[1] != batch + 1:
        raise Unsupported(f"batch_dims={batch} with axis={axis} is not in Keras 3")
    steps = [("numpy.ExpandDims", {"axis": -1})] * (ranks[0] - ranks[1])
    if not steps:
        return Plan((params, indices), (("numpy.TakeAlongAxis", {"axis": axis}),))
    arguments = {len(steps): (constant(params), PREVIOUS)}
    return Plan((indices,), (*steps, ("numpy.TakeAlongAxis", {"axis": axis})), arguments)


def _band(given: Json) -> Plan:
    """`band_part`: everything between two diagonals, or up to one."""
    lower, upper = (static(given[name], name) for name in ("num_lower", "num_upper"))
    if lower < 0 <= upper:
        return one(given["input"], "numpy.Tril", k=upper)
    if upper < 0 <= lower:
        return one(given["input"], "numpy.Triu", k=-lower)
    if lower < 0:
        return one(given["input"], "layers.Identity")
    steps: tuple[tuple[str, Json], ...] = (
        ("numpy.Tril", {"k": upper}),
        ("numpy.Triu", {"k": -lower}),
    )
    return Plan((given["input"],), steps)


def _batch_dot(given: Json) -> Plan:
    axes = given.get("axes")
    if axes is None:
        raise Unsupported("it is called without axes")
    return Plan(([given["x"], given["y"]],), (("layers.Dot", {"axes": axes}),))


def _batch_filled(given: Json) -> Plan:
    """One number in the shape of a tensor's batch and sizes that are known."""
    rank, value = given["rank"](given["x"]), given["value"]
    if not rank:
        raise Unsupported("it has the batch size of a tensor of unknown rank")
    first = [{"start": None}, *[0] * (rank - 1), *[None] * len(given["sizes"])]
    steps: list[tuple[str, Json]] = [("numpy.ZerosLike", {}), ("numpy.GetItem", {})]
    arguments: dict[int, tuple[Any, ...]] = {1: (PREVIOUS, [slice_part(x) for x in first])}
    steps += [("core.Cast", {"dtype": given["dtype"]})]
    steps += [("numpy.Tile", {"repeats": [1, *given["sizes"]]})] if given["sizes"] else []
    if value:
        arguments[len(steps)] = (PREVIOUS, value)
        steps.append(("numpy.Add", {}))
    return Plan((given["x"],), tuple(steps), arguments)


# By name, with the name of the first parameter, which calls give by position.
AXES: dict[str, tuple[str, Callable[[Json], Plan]]] = {
    BATCH_FILLED: ("x", _batch_filled),
    "band_part": ("input", _band),
    "crelu": ("features", _crelu),
    "cumprod": ("x", _cumulate),
    "cumsum": ("x", _cumulate),
    "gather": ("params", _gather),
    "gather_v2": ("params", _gather),
    "keras.backend.batch_dot": ("x", _batch_dot),
}
