"""What one HDF5 dataset is and whether it may be read, from its description alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from h5py import h5d, h5s, h5t, h5z

from kerasguard.formats.hdf5.attributes import read_attribute, text
from kerasguard.formats.hdf5.chunks import PACKERS
from kerasguard.formats.hdf5.headers import Headers
from kerasguard.storage.budget import check_shape
from kerasguard.tensors import TensorSpec
from kerasguard.tensors.elements import numpy_dtype

__all__ = ["FLOATS", "NAMELESS", "StoredDataset", "describe"]

_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF}
# (bytes, exponent bits, mantissa bits) of the floating-point types that Keras knows.
FLOATS = {
    (2, 5, 10): "float16",
    (2, 8, 7): "bfloat16",
    (4, 8, 23): "float32",
    (8, 11, 52): "float64",
    (1, 4, 3): "float8_e4m3fn",
    (1, 5, 2): "float8_e5m2",
}
NAMELESS = (
    "holds single bytes without a named type, as h5py writes float8; Keras cannot load them "
    "either: keep such a variable in bfloat16, or its array in a .safetensors file"
)
"""Of a dataset that is not damaged."""
# Deflate, the strongest of the filters, cannot shrink further.
_MAX_RATIO = 1032


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """A dataset as the file describes it.

    Args:
        path: inside the HDF5 file, without the first slash.
        spec: shape and dtype.
        offset: first byte in the file, where the bytes lie in one piece and as NumPy would
            hold them; None for chunked, compressed, compact, big-endian and empty ones.
    """

    path: str
    spec: TensorSpec
    offset: int | None


def describe(path: str, dataset: h5d.DatasetID, file_size: int, headers: Headers) -> StoredDataset:
    """Check a dataset's description; its data is not touched.

    Args:
        path: inside the file.
        dataset: the opened object.
        file_size: of the HDF5 file in bytes.
        headers: of that file.

    Raises:
        ValueError: Keras does not write such a dataset, or its bytes cannot be there. The message
            continues a sentence that began with the path.
    """
    plan, space = dataset.get_create_plist(), dataset.get_space()
    layout = plan.get_layout()
    if plan.get_external_count() or layout == h5d.VIRTUAL:
        raise ValueError("keeps its data in another file, which kerasguard does not read")
    if space.get_simple_extent_type() == h5s.NULL:
        raise ValueError("has no shape")
    dtype, native = _dtype(dataset, headers)
    spec = TensorSpec(tuple(int(n) for n in dataset.shape), dtype)
    check_shape(spec)
    stored, offset = dataset.get_storage_size(), None
    if layout == h5d.CHUNKED:
        _check_chunks(dataset, plan, spec, stored)
    elif stored != spec.nbytes:
        raise ValueError(f"is {spec}, which takes {spec.nbytes} bytes, but {stored} are stored")
    elif layout == h5d.CONTIGUOUS and spec.nbytes:
        offset = dataset.get_offset()
        if offset is None or offset + spec.nbytes > file_size:
            raise ValueError(f"is {spec} and was never written, or is beyond the end of the file")
    return StoredDataset(path, spec, offset if native else None)


def _check_chunks(dataset: h5d.DatasetID, plan: Any, spec: TensorSpec, stored: int) -> None:
    listed = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    filters = set(listed)
    if not filters <= _FILTERS:
        raise ValueError(
            f"is compressed by HDF5 filter {min(filters - _FILTERS)}, which needs a plugin; save "
            "it uncompressed or with gzip"
        )
    if sum(code in PACKERS for code in listed) > 1:
        raise ValueError("is compressed more than once, which Keras never does")
    if not spec.size:
        return
    chunk = plan.get_chunk()
    count = math.prod(-(-n // c) for n, c in zip(spec.shape, chunk, strict=True))
    unpacked = count * math.prod(chunk) * numpy_dtype(spec.dtype).itemsize
    if unpacked > _MAX_RATIO * stored:
        raise ValueError(f"is {spec}, which its {stored} stored bytes cannot hold")
    if dataset.get_num_chunks() != count:
        raise ValueError(f"is {spec}, parts of which were never written")


def _dtype(dataset: h5d.DatasetID, headers: Headers) -> tuple[str, bool]:
    """The Keras dtype, and whether the stored bytes are NumPy's own."""
    kind = dataset.get_type()
    family, size = kind.get_class(), kind.get_size()
    if size == 2 and family in (h5t.OPAQUE, h5t.INTEGER):
        # Keras 3 says what its two opaque bytes are; Keras 2 stored the same silently.
        told = text(read_attribute(headers, dataset, "dtype"))
        if told == "bfloat16" or (family == h5t.OPAQUE and not told):
            return "bfloat16", family == h5t.OPAQUE or kind.get_order() == h5t.ORDER_LE
    name = ""
    if family == h5t.INTEGER and size in (1, 2, 4, 8) and kind.get_precision() == 8 * size:
        name = f"{'' if kind.get_sign() else 'u'}int{8 * size}"
    elif family == h5t.FLOAT:
        _, _, exponent, _, mantissa = kind.get_fields()
        name = FLOATS.get((size, exponent, mantissa), "")
    elif family == h5t.ENUM and size == 1 and kind.get_nmembers() == 2:
        return "bool", True
    if family == h5t.OPAQUE and size == 1:
        raise ValueError(NAMELESS)
    if not name:
        raise ValueError(f"holds HDF5 type class {family}")
    return name, size == 1 or kind.get_order() == h5t.ORDER_LE
