"""Writes tensor bundles without TensorFlow, also such as TensorFlow never would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from kerasguard.tensors.elements import Array

__all__ = ["bundle_entry", "graph", "masked_crc", "message", "number", "table", "write_bundle"]

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
DTYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "complex64": 8,
    "int64": 9, "bool": 10, "bfloat16": 14, "uint16": 17, "complex128": 18, "float16": 19,
    "uint32": 22, "uint64": 23, "float8_e5m2": 24, "float8_e4m3fn": 25,
}  # fmt: skip


def number(value: int) -> bytes:
    """A varint."""
    value &= (1 << 64) - 1
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def message(*fields: tuple[int, int | bytes | str]) -> bytes:
    """A protocol-buffer message of varint and bytes fields."""
    parts = []
    for field, value in fields:
        if isinstance(value, int):
            parts += [number(field << 3), number(value)]
        else:
            data = value.encode() if isinstance(value, str) else value
            parts += [number(field << 3 | 2), number(len(data)), data]
    return b"".join(parts)


def masked_crc(data: bytes) -> int:
    """CRC32C as TensorFlow stores it."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block(items: Iterable[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    """A table's block with its trailer; no key shares a prefix with the one before."""
    body = b"".join(b"\0" + number(len(k)) + number(len(v)) + k + v for k, v in items)
    body += (0).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes([compression])
    return body + masked_crc(body).to_bytes(4, "little")


def table(items: Mapping[bytes, bytes], compression: int = 0) -> bytes:
    """A sorted table of one data block."""
    data = block(sorted(items.items()), compression)
    where = number(0) + number(len(data) - 5)
    index = block([(b"\xff", where)])
    footer = where + number(len(data)) + number(len(index) - 5)
    return data + index + footer.ljust(40, b"\0") + MAGIC


def bundle_entry(
    dtype: int,
    shape: Sequence[int],
    data: bytes,
    *,
    shard: int = 0,
    offset: int = 0,
    slices: Sequence[bytes] = (),
    crc: int | None = None,
) -> bytes:
    """The index's entry of one tensor."""
    dims = message(*((2, message((1, size))) for size in shape))
    plain = message((1, dtype), (2, dims), (3, shard), (4, offset), (5, len(data)))
    crc = masked_crc(data) if crc is None else crc
    stored = number(6 << 3 | 5) + crc.to_bytes(4, "little")
    return plain + stored + message(*((7, part) for part in slices))


def write_bundle(
    prefix: Path,
    tensors: Mapping[str, Array],
    *,
    graph: bytes | None = None,
    strings: Mapping[str, bytes] | None = None,
    endianness: int = 0,
    needs: int = 0,
    compression: int = 0,
    shards: int = 1,
) -> Path:
    """Write `tensors` in turn into `shards` data files; scalar strings into the first."""
    files = [bytearray() for _ in range(shards)]
    header = message((1, shards), (2, endianness), (3, message((1, 1), (2, needs))))
    items = {b"": header}
    for rank, (name, array) in enumerate(tensors.items()):
        shard = rank % shards
        data = np.ascontiguousarray(array).tobytes()
        items[name.encode()] = bundle_entry(
            DTYPES[array.dtype.name], array.shape, data, shard=shard, offset=len(files[shard])
        )
        files[shard] += data
    texts = dict(strings or {})
    if graph is not None:
        texts["_CHECKPOINTABLE_OBJECT_GRAPH"] = graph
    for name, text in texts.items():
        length = len(text).to_bytes(4, "little")
        inner = masked_crc(length).to_bytes(4, "little")
        data = number(len(text)) + inner + text
        items[name.encode()] = bundle_entry(
            7, (), data, offset=len(files[0]), crc=masked_crc(length + inner + text)
        )
        files[0] += data
    for shard, content in enumerate(files):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(items, compression))
    return prefix


def graph(*nodes: tuple[Mapping[str, int], Mapping[str, tuple[str, str]]]) -> bytes:
    """An object graph: per node its children, and (full name, key) by attribute."""
    encoded = []
    for children, attributes in nodes:
        edges = [(1, message((1, target), (2, edge))) for edge, target in children.items()]
        told = [(2, message((1, a), (2, full), (3, key))) for a, (full, key) in attributes.items()]
        encoded.append((1, message(*edges, *told)))
    return message(*encoded)
