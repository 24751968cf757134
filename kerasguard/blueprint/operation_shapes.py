"""The static shape of what an operation of Keras 3 makes, as far as it can be told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from kerasguard.blueprint.objects import Json

__all__ = ["constant_shape", "operation_shape"]

Shape = list[Any]
ShapeOf = Callable[[Any], "Shape | None"]

_SAME = frozenset(
    {
        "Absolute", "Arccos", "Arccosh", "Arcsin", "Arcsinh", "Arctan", "Arctanh", "Cast", "Ceil",
        "Clip", "Copy", "Cos", "Cosh", "Cumprod", "Cumsum", "Elu", "Erf", "Erfc", "Exp", "Expm1",
        "Flip", "Floor", "Gelu", "Isfinite", "Isinf", "Isnan", "LeakyRelu", "Log", "Log1p",
        "LogSigmoid", "LogSoftmax", "LogicalNot", "Negative", "Normalize", "OnesLike",
        "Reciprocal", "Relu", "Relu6", "Roll", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign",
        "Silu", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sort", "Argsort", "Sqrt",
        "Square", "StopGradient", "Tan", "Tanh", "Tril", "Triu", "ZerosLike", "HSVToRGB",
        "RGBToHSV",
    }
)  # fmt: skip
_BROADCAST = frozenset(
    {
        "Add", "Arctan2", "Divide", "DivideNoNan", "Equal", "FloorDivide", "Greater",
        "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr", "LogicalXor", "Maximum",
        "Minimum", "Mod", "Multiply", "NotEqual", "Power", "Subtract", "TrueDivide", "Where",
    }
)  # fmt: skip
_REDUCE = frozenset(
    {
        "All", "Any", "Argmax", "Argmin", "Logsumexp", "Max", "Mean", "Min", "Prod", "Std", "Sum",
        "Var",
    }
)  # fmt: skip


def constant_shape(value: Any) -> Shape:
    """The shape of a number or an array in a call."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        value = value["config"].get("value")
    sizes: Shape = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return sizes


def operation_shape(kind: str, config: Json, args: Sequence[Any], shape_of: ShapeOf) -> Any:
    """The shape of an operation's result.

    Args:
        kind: `Mean`.
        config: its options.
        args: what it is called on, as JSON.
        shape_of: the shape of a tensor or a constant; None if it cannot be told.

    Returns:
        A list of sizes, None where they are open; None if it cannot be told.
    """
    if kind in _BROADCAST:
        return _broadcast([shape_of(x) for x in args])
    if kind in ("Concatenate", "Stack"):
        shapes = [shape_of(x) for x in args[0]]
        if not shapes or any(shape is None for shape in shapes):
            return None
        return _JOINED[kind](config.get("axis", -1), [x for x in shapes if x is not None])
    first = shape_of(args[0]) if args else None
    if first is None:
        return None
    if kind in _SAME:
        return first
    if kind in _REDUCE:
        return _reduced(first, config)
    if kind == "GetItem":
        return _item(first, args[1])
    rule = _RULES.get(kind)
    return rule(first, config) if rule else None


def _broadcast(shapes: Sequence[Shape | None]) -> Shape | None:
    if any(shape is None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    rank = max(map(len, known))
    sizes: Shape = []
    for column in zip(*([1] * (rank - len(s)) + list(s) for s in known), strict=True):
        wide = [size for size in column if size != 1]
        fixed = [size for size in wide if size is not None]
        sizes.append(fixed[0] if fixed else None if wide else 1)
    return sizes


def _axes(axis: Any, rank: int) -> set[int]:
    if axis is None:
        return set(range(rank))
    return {n % rank for n in (axis if isinstance(axis, list) else [axis])} if rank else set()


def _reduced(shape: Shape, config: Json) -> Shape:
    axes = _axes(config.get("axis"), len(shape))
    if config.get("keepdims"):
        return [1 if n in axes else size for n, size in enumerate(shape)]
    return [size for n, size in enumerate(shape) if n not in axes]


def _joined(axis: int, shapes: list[Shape]) -> Shape:
    sizes = [shape[axis] for shape in shapes]
    found = list(shapes[0])
    found[axis] = None if None in sizes else sum(sizes)
    return found


def _stacked(axis: int, shapes: list[Shape]) -> Shape:
    return _inserted(shapes[0], axis, len(shapes))


def _inserted(shape: Shape, axis: int, size: int) -> Shape:
    place = axis % (len(shape) + 1)
    return [*shape[:place], size, *shape[place:]]


_JOINED: dict[str, Callable[[int, list[Shape]], Shape]] = {
    "Concatenate": _joined,
    "Stack": _stacked,
}


def _expand(shape: Shape, config: Json) -> Shape | None:
    axis = config.get("axis", -1)
    return _inserted(shape, axis, 1) if isinstance(axis, int) else None


def _squeeze(shape: Shape, config: Json) -> Shape | None:
    if config.get("axis") is None:
        return None
    axes = _axes(config["axis"], len(shape))
    return [size for n, size in enumerate(shape) if n not in axes]


def _transpose(shape: Shape, config: Json) -> Shape:
    axes = config.get("axes") or range(len(shape))[::-1]
    return [shape[n] for n in axes]


def _swap(shape: Shape, config: Json) -> Shape:
    found, one, two = list(shape), config["axis1"], config["axis2"]
    found[one], found[two] = found[two], found[one]
    return found


def _reshape(shape: Shape, config: Json) -> Shape:
    target = [None if size == -1 else size for size in config["newshape"]]
    if None in target and None not in shape:
        rest = math.prod(size for size in target if size is not None)
        target[target.index(None)] = math.prod(shape) // rest
    return target


def _tile(shape: Shape, config: Json) -> Shape | None:
    repeats = config.get("repeats")
    if not isinstance(repeats, list) or len(repeats) != len(shape):
        return None
    return [size if n == 1 else size and size * n for size, n in zip(shape, repeats, strict=True)]


def _one_hot(shape: Shape, config: Json) -> Shape:
    axis = config.get("axis", -1)
    return _inserted(shape, axis, config["num_classes"])


def _pad(shape: Shape, config: Json) -> Shape:
    widths = config["pad_width"]
    return [size and size + sum(pair) for size, pair in zip(shape, widths, strict=True)]


def _resize(shape: Shape, config: Json) -> Shape:
    return [*shape[:-3], *config["size"], shape[-1]]


_RULES: dict[str, Callable[[Shape, Json], Shape | None]] = {
    "ExpandDims": _expand,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _resize,
    "Squeeze": _squeeze,
    "Swapaxes": _swap,
    "Tile": _tile,
    "Transpose": _transpose,
}


def _item(shape: Shape, spec: Any) -> Shape | None:
    """The shape behind an index."""
    parts = list(spec) if isinstance(spec, list) else [spec]
    taken = sum(1 for part in parts if part is not None and not _is_ellipsis(part))
    if not any(map(_is_ellipsis, parts)):
        parts.append({"class_name": "__ellipsis__"})
    rest, found = list(shape), []
    for part in parts:
        if _is_ellipsis(part):
            whole = len(shape) - taken
            found += rest[:whole]
            rest = rest[whole:]
        elif part is None:
            found.append(1)
        elif isinstance(part, int):
            rest = rest[1:]
        else:
            found.append(_cut(rest[0], part["config"]))
            rest = rest[1:]
    return found


def _is_ellipsis(part: Any) -> bool:
    return isinstance(part, dict) and part.get("class_name") == "__ellipsis__"


def _cut(size: int | None, bounds: Json) -> int | None:
    start, stop, step = (bounds.get(key) for key in ("start", "stop", "step"))
    if size is None:
        return None
    return len(range(size)[start:stop:step])
