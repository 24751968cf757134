"""Functions of TensorFlow and `keras.backend` that mean more in Python than in the table.

They give several tensors, take sizes, or meant something else in older versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kerasguard.blueprint.computation import Plan, Unsupported
from kerasguard.blueprint.computations import plan
from kerasguard.blueprint.lambdas.arithmetic import is_number, sequence
from kerasguard.blueprint.lambdas.binding import planned, table_name
from kerasguard.blueprint.lambdas.choosing import chosen, rank_of
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.items import item_of
from kerasguard.blueprint.lambdas.of_images import OF_IMAGES
from kerasguard.blueprint.lambdas.operators import kind_of, operate
from kerasguard.blueprint.lambdas.sizes import target
from kerasguard.blueprint.lambdas.values import Several, Tensor, told

__all__ = ["DIFFERENT", "pieces"]


def pieces(
    drawing: Drawing, made: Tensor, whole: Any, sections: Any, given: Mapping[str, Any]
) -> list[Tensor]:
    """The parts of a split tensor: a number of them, or where they end."""
    listed = sequence(sections)
    count = len(listed) + 1 if listed is not None else sections
    if type(count) is not int or not 0 < count <= 100:
        raise Unsupported("a split into a number of parts that is not in the file")
    axis, shape = given.get("axis") or 0, whole.shape if isinstance(whole, Tensor) else None
    size = shape[axis] if shape is not None and type(axis) is int else None
    if shape is None or size is None:
        return drawing.outputs(made, count, [None] * count)
    ends = listed if listed is not None else [size * n // count for n in range(1, count)]
    shapes: list[list[Any]] = [list(shape) for _ in range(count)]
    for part, start, end in zip(shapes, [0, *ends], [*ends, size], strict=True):
        part[axis] = end - start
    return drawing.outputs(made, count, shapes)


def _split(drawing: Drawing, _: str, given: dict[str, Any]) -> list[Tensor]:
    sizes = given["num_or_size_splits"] = _closed(given)
    made = planned(drawing, "split", given)
    listed = sequence(sizes)
    ends = [sum(listed[: n + 1]) for n in range(len(listed) - 1)] if listed is not None else sizes
    return pieces(drawing, made, given["value"], ends, given)


def _closed(given: Mapping[str, Any]) -> Any:
    """The sizes of the parts; one that is left open is what the others leave."""
    sizes, tensor, axis = given.get("num_or_size_splits"), given["value"], given.get("axis") or 0
    listed = sequence(sizes)
    if listed is None or listed.count(-1) != 1 or type(axis) is not int:
        return sizes
    whole = tensor.shape[axis] if isinstance(tensor, Tensor) and tensor.shape else None
    if whole is None:
        return sizes
    return [whole - sum(listed) - 1 if size == -1 else size for size in listed]


def _unstack(drawing: Drawing, short: str, given: dict[str, Any]) -> list[Tensor]:
    tensor, axis = given["value"], given.get("axis") or 0
    shape = tensor.shape if isinstance(tensor, Tensor) else None
    count = given.get("num") or (shape[axis] if shape else None)
    if type(count) is not int:
        raise Unsupported(f"{short} into a number of parts that is not in the file")
    made = planned(drawing, "unstack", {**given, "num": count})
    rest = None
    if shape is not None:
        rest = [size for n, size in enumerate(shape) if n != axis % len(shape)]
    return drawing.outputs(made, count, [rest] * count)


def _two(*names: str) -> Callable[[Drawing, str, dict[str, Any]], Several]:
    def draw(drawing: Drawing, short: str, given: dict[str, Any]) -> Several:
        made = planned(drawing, short.rpartition(".")[2], given)
        return Several(names, tuple(drawing.outputs(made, 2, [None, None])))

    return draw


def _reshape(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    tensor = given[next(iter(given))]
    if not isinstance(tensor, Tensor) or "shape" not in given:
        raise Unsupported(f"{short} of something that is not a tensor")
    sizes = target(given["shape"], tensor)
    return drawing.draw(
        plan("reshape", told(tensor), {"shape": sizes}, drawing.rank_of), tensor.kind
    )


def _classic_division(drawing: Drawing, _: str, given: dict[str, Any]) -> Tensor:
    return operate(drawing, "classic /", given["x"], given.get("y"))


def _einsum(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    operands = [given[name] for name in ("a", "b", "c", "d") if name in given]
    if not all(isinstance(x, Tensor) for x in operands):
        raise Unsupported(f"{short} of something other than tensors")
    return planned(drawing, "einsum", {"inputs": operands, "equation": given["equation"]})


def _batch_dot(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    x, y = given["x"], given.get("y")
    if given.get("axes") is None:
        ranks = [rank_of(x), rank_of(y)]
        if ranks not in ([2, 2], [3, 3]):
            raise Unsupported(f"{short} without axes of tensors of ranks other than 2 or 3")
        given["axes"] = [1, 1] if ranks == [2, 2] else [2, 1]
    if not all(rank in (2, 3) for rank in map(rank_of, (x, y))):
        # Before Keras 2.3 it multiplied matrices along all axes but the last two.
        raise Unsupported(f"{short} of tensors of ranks other than 2 or 3")
    made = planned(drawing, "keras.backend.batch_dot", given)
    axes = sequence(given["axes"]) or [given["axes"]] * 2
    if not (isinstance(x, Tensor) and isinstance(y, Tensor) and x.shape and y.shape):
        return made
    rests = [
        [size for n, size in enumerate(shape) if n not in (0, axis % len(shape))]
        for shape, axis in zip((x.shape, y.shape), axes, strict=True)
    ]
    return drawing.shaped(made, [x.shape[0], *(rests[0] + rests[1] or [1])])


def _float_mean(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """A mean of whole numbers is one in TensorFlow, not in Keras 3."""
    first, backend = given[next(iter(given))], short.startswith("K.")
    if isinstance(first, Tensor) and first.kind not in ("float", "bool" if backend else "float"):
        raise Unsupported(f"{short} of values that may be integers")
    name = f"keras.backend.{short[2:]}" if backend else f"tensorflow.{short[3:]}"
    return planned(drawing, table_name(name), given)


def _clip(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """Bounds of which one may be missing."""
    low, high = given.get("min_value"), given.get("max_value")
    if low is not None and high is not None:
        return planned(drawing, "clip", given)
    name, bound = ("minimum", high) if low is None else ("maximum", low)
    if bound is None:
        raise Unsupported(f"{short} without bounds")
    return planned(drawing, name, {"x": given["x"], "y": bound})


def _l2(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """Without an axis it takes all of them, the batch's included."""
    rank, known = rank_of(given["x"]), given.get("axis", given.get("dim"))
    if known is None and rank is not None:
        given = {key: x for key, x in given.items() if key != "dim"} | {"axis": list(range(rank))}
    return planned(drawing, "l2_normalize", given)


def _joined(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """A layer of several tensors, called as a function."""
    name = "".join(word.capitalize() for word in short.rpartition(".")[2].split("_"))
    inputs = sequence(given["inputs"]) or []
    if len(inputs) < 2 or not all(isinstance(x, Tensor) for x in inputs):
        raise Unsupported(f"{short} of something other than tensors")
    options = {key: told(x) for key, x in given.items() if key in ("axes", "axis", "normalize")}
    if set(given) - {"inputs", "name", *options}:
        raise Unsupported(f"{short} with other arguments")
    steps = ((f"layers.{name}", options),)
    return drawing.draw(Plan((told(inputs),), steps), kind_of(*inputs))


def _strided(drawing: Drawing, short: str, given: dict[str, Any]) -> Any:
    begin, end = sequence(given.get("begin")), sequence(given.get("end"))
    steps = sequence(given.get("strides")) or [1] * len(begin or [])
    if begin is None or end is None or set(given) - {"input_", "begin", "end", "strides", "name"}:
        raise Unsupported(f"{short} with masks")
    if not all(type(n) is int for n in (*begin, *end, *steps)):
        raise Unsupported(f"{short} with places that are not in the file")
    key = tuple(slice(*bounds) for bounds in zip(begin, end, steps, strict=True))
    return item_of(given["input_"], key, drawing)


def _one_hot(drawing: Drawing, short: str, given: dict[str, Any]) -> Any:
    """With other values than 1 and 0, too."""
    on, off = given.get("on_value"), given.get("off_value")
    rest = {key: x for key, x in given.items() if key not in ("on_value", "off_value")}
    made = planned(drawing, "one_hot", rest)
    if on in (None, 1) and off in (None, 0):
        return made
    on, off = 1 if on is None else on, 0 if off is None else off
    if not is_number(on) or not is_number(off) or given.get("dtype") is not None:
        raise Unsupported(f"{short} with values that are not in the file")
    return operate(drawing, "+", operate(drawing, "*", made, float(on - off)), float(off))


def _sorted(drawing: Drawing, short: str, given: dict[str, Any]) -> Any:
    """Sorting downwards is sorting upwards, turned round."""
    if given.get("direction") != "DESCENDING":
        return planned(drawing, "sort", given)
    axis = -1 if given.get("axis") is None else given["axis"]
    made = planned(drawing, "sort", {**given, "direction": "ASCENDING"})
    return planned(drawing, "reverse", {"tensor": made, "axis": [axis]})


DIFFERENT: dict[str, Callable[[Drawing, str, dict[str, Any]], Any]] = {
    **OF_IMAGES,
    "keras.backend.batch_dot": _batch_dot,
    "keras.backend.clip": _clip,
    "keras.backend.l2_normalize": _l2,
    "keras.backend.mean": _float_mean,
    "keras.backend.reshape": _reshape,
    "keras.backend.switch": chosen,
    **{
        f"keras.layers.{name}": _joined
        for name in [
            "add",
            "average",
            "concatenate",
            "dot",
            "maximum",
            "minimum",
            "multiply",
            "subtract",
        ]
    },
    "tensorflow.compat.v1.where": chosen,
    "tensorflow.einsum": _einsum,
    "tensorflow.div": _classic_division,
    "tensorflow.l2_normalize": _l2,
    "tensorflow.moments": _two("mean", "variance"),
    "tensorflow.one_hot": _one_hot,
    "tensorflow.reduce_mean": _float_mean,
    "tensorflow.reshape": _reshape,
    "tensorflow.sort": _sorted,
    "tensorflow.split": _split,
    "tensorflow.strided_slice": _strided,
    "tensorflow.top_k": _two("values", "indices"),
    "tensorflow.unstack": _unstack,
    "tensorflow.where": chosen,
}
"""By full name."""
