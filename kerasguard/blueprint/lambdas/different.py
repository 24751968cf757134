"""Functions of TensorFlow and `keras.backend` that mean more in Python than in the table.

They give several tensors, take sizes, or meant something else in older versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerasguard.blueprint.computation import Unsupported
from kerasguard.blueprint.computations import plan
from kerasguard.blueprint.lambdas.arithmetic import sequence
from kerasguard.blueprint.lambdas.binding import planned, table_name
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.operators import operate
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
    sizes = given.get("num_or_size_splits")
    made = planned(drawing, "split", given)
    listed = sequence(sizes)
    ends = [sum(listed[: n + 1]) for n in range(len(listed) - 1)] if listed is not None else sizes
    return pieces(drawing, made, given["value"], ends, given)


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
        raise Unsupported(f"{short} of what is no tensor")
    sizes = target(given["shape"], tensor)
    return drawing.draw(
        plan("reshape", told(tensor), {"shape": sizes}, drawing.rank_of), tensor.kind
    )


def _classic_division(drawing: Drawing, _: str, given: dict[str, Any]) -> Tensor:
    return operate(drawing, "classic /", given["x"], given.get("y"))


def _check_channels(drawing: Drawing, short: str, given: Mapping[str, Any]) -> None:
    if (given.get("data_format") or drawing.data_format()) != "channels_last":
        raise Unsupported(f"{short} with channels first")


def _pooled(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """`pool2d` and `pool3d`."""
    _check_channels(drawing, short, given)
    kind = {"max": "max", "avg": "avg"}.get(str(given.get("pool_mode") or "max"))
    if kind is None or given.get("pool_size") is None:
        raise Unsupported(f"{short} in another mode")
    options = {
        "ksize": given["pool_size"],
        "strides": given.get("strides") or 1,
        "padding": str(given.get("padding") or "valid").upper(),
    }
    return planned(drawing, f"{kind}_{short.rpartition('.')[2]}", {"input": given["x"], **options})


def _einsum(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    operands = [given[name] for name in ("a", "b", "c", "d") if name in given]
    if not all(isinstance(x, Tensor) for x in operands):
        raise Unsupported(f"{short} of something else than tensors")
    return planned(drawing, "einsum", {"inputs": operands, "equation": given["equation"]})


def _padded(axes: int) -> Callable[[Drawing, str, dict[str, Any]], Tensor]:
    """`temporal_padding` and `spatial_2d_padding`."""

    def draw(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
        _check_channels(drawing, short, given if axes == 2 else {"data_format": "channels_last"})
        told_width = told(given.get("padding", [1, 1] if axes == 1 else [[1, 1], [1, 1]]))
        width = [told_width] if axes == 1 else told_width
        paddings = [[0, 0], *width, [0, 0]]
        return planned(drawing, "pad", {"tensor": given["x"], "paddings": paddings})

    return draw


def _batch_dot(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    x, y = given["x"], given.get("y")
    if given.get("axes") is None:
        ranks = [len(t.shape) if isinstance(t, Tensor) and t.shape else 0 for t in (x, y)]
        if ranks not in ([2, 2], [3, 3]):
            raise Unsupported(f"{short} without axes of tensors of other ranks than 2 or 3")
        given["axes"] = [1, 1] if ranks == [2, 2] else [2, 1]
    return planned(drawing, "keras.backend.batch_dot", given)


_METHODS = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest_neighbor": "nearest"}


def _same_pixels(shape: Any, size: Sequence[Any], method: Any) -> bool:
    """Whether pixels at their corners make the same image as pixels at their centers."""
    if shape is None:
        return False
    if tuple(shape[1:3]) == tuple(size):
        return True
    whole = (isinstance(n, int) and m % n == 0 for n, m in zip(shape[1:3], size, strict=True))
    return method == "nearest" and all(whole)


def _resize(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """Resizing: TensorFlow 1 put pixels at their corners, TensorFlow 2 at their centers."""
    old = short != "tf.image.resize" or drawing.tensorflow != 2
    method: Any = _METHODS.get(short.rpartition("resize_")[2]) or given.get("method") or 0
    method = {0: "bilinear", 1: "nearest", 2: "bicubic"}.get(method, method)
    image, size = given["images"], sequence(given.get("size"))
    shape = image.shape if isinstance(image, Tensor) else None
    if size is None or not all(type(n) is int for n in size):
        raise Unsupported(f"{short} to a size that is not in the file")
    if given.get("align_corners") or given.get("half_pixel_centers"):
        raise Unsupported(f"{short} with align_corners or half_pixel_centers")
    if old and not _same_pixels(shape, size, method):
        raise Unsupported(f"{short} of TensorFlow 1, which lays the pixels otherwise,")
    kept = {k: v for k, v in given.items() if k in ("preserve_aspect_ratio", "antialias")}
    options = {"size": size, "method": str(method).lower(), **kept}
    return planned(drawing, "image.resize", {"images": image, **options})


def _float_mean(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """A mean of whole numbers is one in TensorFlow, not in Keras 3."""
    first = given["input_tensor"]
    if isinstance(first, Tensor) and first.kind != "float":
        raise Unsupported(f"{short} of what may be whole numbers")
    return planned(drawing, table_name(f"tensorflow.{short[3:]}"), given)


DIFFERENT: dict[str, Callable[[Drawing, str, dict[str, Any]], Any]] = {
    "keras.backend.batch_dot": _batch_dot,
    "keras.backend.pool2d": _pooled,
    "keras.backend.pool3d": _pooled,
    "keras.backend.reshape": _reshape,
    "keras.backend.spatial_2d_padding": _padded(2),
    "keras.backend.temporal_padding": _padded(1),
    "tensorflow.einsum": _einsum,
    "tensorflow.div": _classic_division,
    "tensorflow.image.resize": _resize,
    "tensorflow.image.resize_bicubic": _resize,
    "tensorflow.image.resize_bilinear": _resize,
    "tensorflow.image.resize_images": _resize,
    "tensorflow.image.resize_nearest_neighbor": _resize,
    "tensorflow.moments": _two("mean", "variance"),
    "tensorflow.reduce_mean": _float_mean,
    "tensorflow.reshape": _reshape,
    "tensorflow.split": _split,
    "tensorflow.top_k": _two("values", "indices"),
    "tensorflow.unstack": _unstack,
}
"""By full name."""
