"""Functions of TensorFlow whose arguments mean something else in Keras 3.

Each takes the call's parameters by name and gives a `Plan`; `Unsupported` says what stands
against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kerasguard.blueprint.computation import Plan, Unsupported, one, slice_part, static
from kerasguard.blueprint.objects import Json

__all__ = ["SPECIAL"]


def _get_item(given: Json) -> Plan:
    key = static(given.get("slice_spec"), "the slice")
    parts = key if isinstance(key, list) else [key]
    spec = [slice_part(part) for part in parts]
    return Plan((given["tensor"], spec), (("numpy.GetItem", {}),))


def _reshape(given: Json) -> Plan:
    shape = given["shape"]
    first = shape[0] if isinstance(shape, list) and shape else None
    if isinstance(first, dict) and first.get("class_name") == "__batch_size__":
        return one(given["tensor"], "layers.Reshape", target_shape=shape[1:])
    return one(given["tensor"], "numpy.Reshape", newshape=static(shape, "the shape"))


def _clip(given: Json) -> Plan:
    low = static(given["clip_value_min"], "the lower bound")
    high = static(given["clip_value_max"], "the upper bound")
    return one(given["t"], "numpy.Clip", x_min=low, x_max=high)


def _backend_clip(given: Json) -> Plan:
    return one(given["x"], "numpy.Clip", x_min=given["min_value"], x_max=given["max_value"])


def _l2_normalize(given: Json) -> Plan:
    axis = given.get("axis", given.get("dim"))
    if not isinstance(axis, (int, list)):
        raise Unsupported("it normalises over all axes, the batch included")
    # TensorFlow bounds the sum of squares, Keras its root.
    epsilon = math.sqrt(given.get("epsilon", 1e-12))
    return one(given["x"], "nn.Normalize", axis=axis, order=2, epsilon=epsilon)


def _one_hot(given: Json) -> Plan:
    if given.get("on_value") not in (None, 1, 1.0) or given.get("off_value") not in (None, 0, 0.0):
        raise Unsupported("it has values other than 1 and 0")
    depth = static(given.get("depth", given.get("num_classes")), "the depth")
    axis = -1 if given.get("axis") is None else given["axis"]
    options = {"num_classes": depth, "axis": axis, "dtype": given.get("dtype") or "float32"}
    return one(given["indices"], "nn.OneHot", **options)


def _split(given: Json) -> Plan:
    sections = static(given["num_or_size_splits"], "the sizes")
    if isinstance(sections, list):
        if min(sections) < 0:
            raise Unsupported("one of its sizes is unknown")
        sections = [sum(sections[: n + 1]) for n in range(len(sections) - 1)]
    options = {"indices_or_sections": sections, "axis": given.get("axis") or 0}
    return one(given["value"], "numpy.Split", **options)


def _pad(given: Json) -> Plan:
    mode = str(given.get("mode") or "CONSTANT").lower()
    width = static(given["paddings"], "the padding")
    tensors: tuple[Any, ...] = (given["tensor"],)
    if mode == "constant":
        tensors = (*tensors, given.get("constant_values") or 0)
    return Plan(tensors, (("numpy.Pad", {"pad_width": width, "mode": mode}),))


def _matmul(given: Json) -> Plan:
    flags = ("a_is_sparse", "adjoint_a", "adjoint_b", "b_is_sparse", "output_type")
    if any(given.get(flag) for flag in flags):
        raise Unsupported("it is sparse, adjoint or has another dtype")
    left, right = given.get("transpose_a"), given.get("transpose_b")
    if not left and not right:
        return Plan((given["a"], given["b"]), (("numpy.Matmul", {}),))
    subscripts = f"...{'ji' if left else 'ij'},...{'kj' if right else 'jk'}->...ik"
    return Plan((given["a"], given["b"]), (("numpy.Einsum", {"subscripts": subscripts}),))


def _norm(given: Json) -> Plan:
    order, axis = given.get("ord", "euclidean"), given.get("axis")
    steps = _NORMS.get(order) if isinstance(order, (str, int, float)) else None
    if steps is None or (isinstance(axis, list) and len(axis) > 1 and order != "euclidean"):
        raise Unsupported(f"it is the norm {order!r} along {axis}")
    options = {"keepdims": bool(given.get("keepdims"))} | ({} if axis is None else {"axis": axis})
    along = ("numpy.Sum", "numpy.Max")
    return Plan(
        (given["tensor"],), tuple((step, options if step in along else {}) for step in steps)
    )


_EUCLIDEAN = ("numpy.Square", "numpy.Sum", "numpy.Sqrt")
_NORMS: dict[Any, tuple[str, ...]] = {
    "euclidean": _EUCLIDEAN,
    1: ("numpy.Absolute", "numpy.Sum"),
    2: _EUCLIDEAN,
    math.inf: ("numpy.Absolute", "numpy.Max"),
}


def _relu(given: Json) -> Plan:
    options = {
        "negative_slope": given.get("alpha") or 0.0,
        "max_value": given.get("max_value"),
        "threshold": given.get("threshold") or 0.0,
    }
    return one(given["x"], "layers.ReLU", **options)


def _hard_sigmoid(given: Json) -> Plan:
    return one(given["x"], "layers.Activation", activation="hard_sigmoid")


def _slice(given: Json) -> Plan:
    begin, size = static(given["begin"], "the start"), static(given["size"], "the size")
    ends = [None if n == -1 else b + n for b, n in zip(begin, size, strict=True)]
    spec = [
        slice_part({"start": b, "stop": e, "step": None}) for b, e in zip(begin, ends, strict=True)
    ]
    return Plan((given["input_"], spec), (("numpy.GetItem", {}),))


def _einsum(given: Json) -> Plan:
    operands = given["inputs"]
    if not isinstance(operands, list) or not isinstance(given.get("equation"), str):
        raise Unsupported("the file does not say what it was called on")
    return Plan(tuple(operands), (("numpy.Einsum", {"subscripts": given["equation"]}),))


# By name, with the name of the first parameter, which calls give by position.
SPECIAL: dict[str, tuple[str, Callable[[Json], Plan]]] = {
    "__operators__.getitem": ("tensor", _get_item),
    "clip": ("x", _backend_clip),
    "clip_by_value": ("t", _clip),
    "einsum": ("inputs", _einsum),
    "hard_sigmoid": ("x", _hard_sigmoid),
    "keras.activations.relu": ("x", _relu),
    "keras.backend.relu": ("x", _relu),
    "l2_normalize": ("x", _l2_normalize),
    "matmul": ("a", _matmul),
    "norm": ("tensor", _norm),
    "one_hot": ("indices", _one_hot),
    "pad": ("tensor", _pad),
    "reduce_euclidean_norm": ("tensor", _norm),
    "reshape": ("tensor", _reshape),
    "slice": ("input_", _slice),
    "split": ("value", _split),
}
