"""What the names in a Lambda stand for: modules, their values, and one name for each function."""

from __future__ import annotations

from kerasguard.blueprint.lambdas.definitions import DEFINITIONS
from kerasguard.blueprint.lambdas.signatures import SIGNATURES

__all__ = ["CONSTANTS", "DTYPES", "GLOBALS", "MODULES", "canonical"]

GLOBALS = {
    "activations": "keras.activations",
    "K": "keras.backend",
    "KB": "keras.backend",
    "backend": "keras.backend",
    "k": "keras.backend",
    "kb": "keras.backend",
    "keras": "keras",
    "layers": "keras.layers",
    "math": "math",
    "np": "numpy",
    "numpy": "numpy",
    "ops": "keras.ops",
    "tensorflow": "tensorflow",
    "tf": "tensorflow",
}
"""What a global name is taken for, if it is the usual name of a module."""

_SAME = (
    ("tensorflow.keras.", "keras."),
    ("tensorflow.python.keras.", "keras."),
    ("tensorflow.compat.v2.", "tensorflow."),
    ("tensorflow.compat.v1.image.resize.", "tensorflow.image.resize_images."),
    ("keras.backend.tf.", "tensorflow."),
    ("keras.backend.tensorflow_backend.tf.", "tensorflow."),
    ("keras.backend.tensorflow_backend.", "keras.backend."),
    ("keras.layers.ops.", "keras.ops."),
    ("keras.ops.numpy.", "keras.ops."),
    ("keras.ops.nn.", "keras.ops."),
    ("keras.ops.image.", "keras.ops."),
    ("keras.ops.linalg.", "keras.ops."),
    ("keras.src.", "keras."),
    ("numpy.math.", "math."),
)
MODULES = frozenset(
    {
        "keras",
        "keras.activations",
        "keras.backend",
        "keras.layers",
        "keras.ops",
        "math",
        "numpy",
        "tensorflow",
    }
)
_PLAIN = ("math.", "nn.", "linalg.", "dtypes.", "")

DTYPES = frozenset(
    {
        "bool", "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64",
        "uint8", "uint16", "uint32", "uint64", "half", "double",
    }
)  # fmt: skip

CONSTANTS = {
    "math.pi": 3.141592653589793,
    "math.e": 2.718281828459045,
    "numpy.pi": 3.141592653589793,
    "numpy.e": 2.718281828459045,
    "numpy.inf": float("inf"),
    "numpy.newaxis": None,
    "tensorflow.newaxis": None,
    "keras.ops.newaxis": None,
    "tensorflow.image.ResizeMethod.BICUBIC": "bicubic",
    "tensorflow.image.ResizeMethod.BILINEAR": "bilinear",
    "tensorflow.image.ResizeMethod.NEAREST_NEIGHBOR": "nearest",
}
"""Attributes of modules that are values."""


def canonical(path: str) -> str:
    """One name for a module or function that has several."""
    for start, same in _SAME:
        if f"{path}.".startswith(start):
            path = (same + path[len(start) :]).rstrip(".")
    if path.startswith("tensorflow.") and path not in SIGNATURES and path not in DEFINITIONS:
        inner = path.removeprefix("tensorflow.").removeprefix("compat.v1.")
        space = next(space for space in _PLAIN if inner.startswith(space))
        plain = f"tensorflow.{inner.removeprefix(space)}"
        return plain if plain in SIGNATURES or plain in DEFINITIONS else path
    return path
