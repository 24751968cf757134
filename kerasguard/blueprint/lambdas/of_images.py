"""Functions on images that mean more in Python, or in older versions, than in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kerasguard.blueprint.computation import Plan, Unsupported, constant
from kerasguard.blueprint.lambdas.arithmetic import sequence
from kerasguard.blueprint.lambdas.binding import planned, table_name
from kerasguard.blueprint.lambdas.drawing import Drawing
from kerasguard.blueprint.lambdas.operators import operate
from kerasguard.blueprint.lambdas.values import Tensor, told

__all__ = ["OF_IMAGES"]

_LARGEST_MATRIX = 50_000
_METHODS = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest_neighbor": "nearest"}


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


def _padded(axes: int) -> Callable[[Drawing, str, dict[str, Any]], Tensor]:
    """`temporal_padding` and `spatial_2d_padding`."""

    def draw(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
        _check_channels(drawing, short, given if axes == 2 else {"data_format": "channels_last"})
        told_width = told(given.get("padding", [1, 1] if axes == 1 else [[1, 1], [1, 1]]))
        width = [told_width] if axes == 1 else told_width
        paddings = [[0, 0], *width, [0, 0]]
        return planned(drawing, "pad", {"tensor": given["x"], "paddings": paddings})

    return draw


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
    image, size = given["images"], sequence(given.get("size"))
    method: Any = _METHODS.get(short.rpartition("resize_")[2]) or given.get("method") or 0
    method = str({0: "bilinear", 1: "nearest", 2: "bicubic"}.get(method, method)).lower()
    if not isinstance(image, Tensor) or size is None or not all(type(n) is int for n in size):
        raise Unsupported(f"{short} to a size that is not in the file")
    if method != "nearest" and image.kind != "float":
        if image.kind not in ("int", "small"):
            raise Unsupported(f"{short} of values that may be integers")
        image = planned(drawing, "cast", {"x": image, "dtype": "float32"})
    centers = short == "tf.image.resize" and drawing.tensorflow == 2
    if given.get("half_pixel_centers") and not given.get("align_corners"):
        centers = True
    if not centers and not _same_pixels(image.shape, size, method):
        return _laid_out(drawing, short, image, size, method, bool(given.get("align_corners")))
    kept = {k: v for k, v in given.items() if k in ("preserve_aspect_ratio", "antialias")}
    options = {"size": size, "method": method, **kept}
    return planned(drawing, "image.resize", {"images": image, **options})


def _laid_out(
    drawing: Drawing, short: str, image: Tensor, size: list[int], method: str, corners: bool
) -> Tensor:
    """Resizing with pixels at their corners: the product with a matrix for each of two axes."""
    shape = image.shape
    if shape is None or len(shape) != 4 or image.kind != "float":
        raise Unsupported(f"{short} of TensorFlow 1, of images that may not be floating point,")
    if drawing.tensorflow == 0 and short == "tf.image.resize":
        raise Unsupported(f"{short}, which TensorFlow 1 and 2 compute differently,")
    for axis, (old, new) in enumerate(zip(shape[1:3], size, strict=True)):
        if old is None or not 0 < old * new <= _LARGEST_MATRIX or method not in _WEIGHTS:
            raise Unsupported(f"{short} of TensorFlow 1, which places the pixels differently,")
        matrix = _WEIGHTS[method](old, new, corners=corners)
        subscripts = ("bhwc,nh->bnwc", "bhwc,nw->bhnc")[axis]
        steps = (("numpy.Einsum", {"subscripts": subscripts}),)
        made = drawing.draw(Plan((image.made, constant(matrix)), steps), image.kind)
        sizes = list(shape)
        sizes[1 : axis + 2] = size[: axis + 1]
        image = drawing.shaped(made, sizes)
    return image


def _places(old: int, new: int, *, corners: bool) -> np.ndarray[Any, Any]:
    """Where the new pixels lie among the old ones, as TensorFlow computes it in 32 bits."""
    scale = (old - 1) / (new - 1) if corners and new > 1 else old / new
    places: np.ndarray[Any, Any] = np.arange(new, dtype="float32") * np.float32(scale)
    return places


def _linear(old: int, new: int, *, corners: bool) -> list[list[float]]:
    places = _places(old, new, corners=corners)
    low = np.clip(np.floor(places).astype(int), 0, old - 1)
    part = places - low
    found = np.zeros((new, old), "float32")
    np.add.at(found, (np.arange(new), low), 1 - part)
    np.add.at(found, (np.arange(new), np.minimum(low + 1, old - 1)), part)
    return [[float(x) for x in row] for row in found]


def _next(old: int, new: int, *, corners: bool) -> list[list[float]]:
    places = _places(old, new, corners=corners)
    nearest = np.floor(places + 0.5) if corners else np.floor(places)
    found = np.eye(old, dtype="float32")[np.minimum(nearest.astype(int), old - 1)]
    return [[float(x) for x in row] for row in found]


_WEIGHTS: dict[str, Callable[..., list[list[float]]]] = {"bilinear": _linear, "nearest": _next}


def _magnified(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """`K.resize_images`, which is bilinear as the version of TensorFlow is."""
    bilinear = given.get("interpolation") not in (None, "nearest")
    if bilinear and drawing.tensorflow != 2:
        return _magnified_before(drawing, short, given)
    return planned(drawing, "keras.backend.resize_images", given)


def _magnified_before(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    if drawing.tensorflow != 1:
        raise Unsupported(f"{short}, which TensorFlow 1 and 2 compute differently,")
    _check_channels(drawing, short, given)
    image, factors = given["x"], (given.get("height_factor"), given.get("width_factor"))
    shape = image.shape if isinstance(image, Tensor) else None
    if shape is None or len(shape) != 4 or not all(type(n) is int for n in factors):
        raise Unsupported(f"{short} of images of a size that is not in the file")
    size = [n and n * int(factor or 1) for n, factor in zip(shape[1:3], factors, strict=True)]
    if None in size or given.get("interpolation") != "bilinear":
        raise Unsupported(f"{short} of images of a size that is not in the file")
    whole = [int(n) for n in size if n is not None]
    return _laid_out(drawing, short, image, whole, "bilinear", corners=False)


def _of_floats(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    """What TensorFlow rounds, scales or cuts if it is a whole number."""
    first = given[next(iter(given))]
    if not isinstance(first, Tensor) or first.kind != "float":
        raise Unsupported(f"{short} of values that may be integers")
    return planned(drawing, table_name(f"tensorflow.{short[3:]}"), given)


def _brighter(drawing: Drawing, short: str, given: dict[str, Any]) -> Tensor:
    first = given["image"]
    if not isinstance(first, Tensor) or first.kind != "float":
        raise Unsupported(f"{short} of values that may be integers")
    return operate(drawing, "+", first, given.get("delta"))


OF_IMAGES: dict[str, Callable[[Drawing, str, dict[str, Any]], Any]] = {
    "keras.backend.pool2d": _pooled,
    "keras.backend.pool3d": _pooled,
    "keras.backend.resize_images": _magnified,
    "keras.backend.spatial_2d_padding": _padded(2),
    "keras.backend.temporal_padding": _padded(1),
    "tensorflow.image.adjust_brightness": _brighter,
    "tensorflow.image.resize": _resize,
    "tensorflow.image.resize_bicubic": _resize,
    "tensorflow.image.resize_bilinear": _resize,
    "tensorflow.image.resize_images": _resize,
    "tensorflow.image.resize_nearest_neighbor": _resize,
    "tensorflow.image.rgb_to_grayscale": _of_floats,
}
"""By full name."""
