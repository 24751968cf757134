"""Compressed chunks of an HDF5 dataset, measured before libhdf5 unpacks them.

libhdf5 unpacks a chunk to whatever its stream holds, and only then takes as much as the chunk has
room for: a few kilobytes of stream can fill gigabytes.
"""

from __future__ import annotations

import itertools
import math
import zlib

from h5py import h5d, h5z

__all__ = ["PACKERS", "check_chunks"]

PACKERS = frozenset({h5z.FILTER_DEFLATE, h5z.FILTER_LZF})
_CHECKSUM = 4  # bytes that the filter fletcher32 appends


def check_chunks(dataset: h5d.DatasetID) -> None:
    """Unpack each chunk as far as its own size and one byte more, and keep nothing of it.

    Args:
        dataset: whose filters are known ones, with one that packs at most.

    Raises:
        ValueError: a chunk unpacks to more or less than it holds.
    """
    plan = dataset.get_create_plist()
    if plan.get_layout() != h5d.CHUNKED:
        return
    filters = [int(plan.get_filter(i)[0]) for i in range(plan.get_nfilters())]
    packer = next((i for i, code in enumerate(filters) if code in PACKERS), None)
    if packer is None or 0 in dataset.shape:
        return
    chunk = plan.get_chunk()
    size = math.prod(chunk) * dataset.get_type().get_size()
    starts = (range(0, n, c) for n, c in zip(dataset.shape, chunk, strict=True))
    for place in itertools.product(*starts):
        skipped, data = dataset.read_direct_chunk(place)
        if skipped >> packer & 1:
            continue
        sums = [
            code == h5z.FILTER_FLETCHER32 and not skipped >> i & 1 for i, code in enumerate(filters)
        ]
        expected = size + _CHECKSUM * sum(sums[:packer])
        packed = data[: len(data) - _CHECKSUM * sum(sums[packer:])]
        measure = _deflated if filters[packer] == h5z.FILTER_DEFLATE else _lzf
        if measure(packed, expected) != expected:
            raise ValueError(f"chunk {place} does not unpack to its {expected} bytes")


def _deflated(data: bytes, most: int) -> int:
    """How many bytes a stream of zlib holds, counted to one more than `most`."""
    try:
        return len(zlib.decompressobj().decompress(data, most + 1))
    except zlib.error as error:
        raise ValueError(f"a chunk cannot be unpacked: {error}") from None


def _lzf(data: bytes, most: int) -> int:
    """The same of LibLZF: each run begins with a byte that tells its kind and length."""
    at = found = 0
    while at < len(data) and found <= most:
        control = data[at]
        if control < 32:
            found += control + 1
            at += control + 2
            continue
        length = control >> 5
        if length == 7:
            at += 1
            length += data[at] if at < len(data) else 0
        found += length + 2
        at += 2
    return found
