"""What a tensor's elements are: dtypes as NumPy knows them, digests and counts over the bytes.

Apart from the records, so that whoever only compares these does not wait for NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Protocol

import ml_dtypes
import numpy as np
import numpy.typing as npt
import xxhash

from kerasguard.tensors.records import TensorRecord, TensorSpec

__all__ = [
    "Array",
    "TensorSource",
    "array_of",
    "bytes_of",
    "count_nonfinite",
    "digest",
    "dtype_name",
    "numpy_dtype",
    "survey",
]

Array = npt.NDArray[np.generic]

# Names that NumPy does not know; "string" and friends are not tensors of weights.
_EXTENSION_DTYPES: dict[str, np.dtype[np.generic]] = {
    name: np.dtype(getattr(ml_dtypes, name))
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "int2", "uint2")
    if hasattr(ml_dtypes, name)
}


def numpy_dtype(name: str) -> np.dtype[np.generic]:
    """The little-endian NumPy dtype of a Keras dtype string (`"bfloat16"` included)."""
    extension = _EXTENSION_DTYPES.get(name)
    if extension is not None:
        return extension
    little: np.dtype[np.generic] = np.dtype(name).newbyteorder("<")
    return little


def dtype_name(dtype: npt.DTypeLike) -> str:
    """The Keras dtype string of a NumPy dtype; inverse of `numpy_dtype`."""
    return _name(np.dtype(dtype))


@cache
def _name(dtype: np.dtype[Any]) -> str:
    return str(dtype.name)  # which NumPy puts together each time it is asked


class TensorSource(Protocol):
    """Anything that holds tensors: a file, a live model, a dict in a test."""

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every tensor by key. Reads no tensor."""

    def read(self, key: str) -> Array:
        """The tensor's elements, shaped and typed as its spec says."""


def bytes_of(array: Array) -> bytes:
    """The little-endian, C-ordered bytes of an array."""
    data = np.ascontiguousarray(array)
    if data.dtype.byteorder == ">":
        data = data.astype(data.dtype.newbyteorder("<"))
    return data.reshape(-1).view(np.uint8).tobytes()


def array_of(data: bytes, spec: TensorSpec) -> Array:
    """Inverse of `bytes_of`; the array may be written to."""
    return np.frombuffer(bytearray(data), numpy_dtype(spec.dtype)).reshape(spec.shape)


def digest(array: Array) -> str:
    """`xxh3:` and 32 hexadecimal digits over the little-endian, C-ordered bytes.

    Shape and dtype are not part of it: they are compared by themselves. xxh3 finds accidents,
    not attackers; the manifest's SHA-256 of the whole file is there for those who sign it.
    """
    data = np.ascontiguousarray(array)
    if data.dtype.byteorder == ">":
        data = data.astype(data.dtype.newbyteorder("<"))
    return f"xxh3:{xxhash.xxh3_128_hexdigest(data.reshape(-1).view(np.uint8).data)}"


def count_nonfinite(array: Array) -> int:
    """Number of NaN and infinite elements; 0 for integers and bools."""
    if array.dtype.kind not in "fcV" and array.dtype not in _EXTENSION_DTYPES.values():
        return 0
    if array.dtype.kind == "V":
        array = array.astype(np.float32)
    finite = np.isfinite(array)
    return int(finite.size - np.count_nonzero(finite))


def survey(source: TensorSource) -> Iterator[TensorRecord]:
    """Read every tensor once and yield what was learned of it."""
    for key, spec in source.specs().items():
        array = source.read(key)
        yield TensorRecord(key, spec, digest=digest(array), nonfinite=count_nonfinite(array))
