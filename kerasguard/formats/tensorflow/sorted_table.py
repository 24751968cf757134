"""LevelDB's table format: the sorted key-value file that a TensorFlow `.index` is.

A table is a row of blocks, each followed by its compression type and a checksum; the last block
but the footer tells where the data blocks lie. Keys share prefixes with the key before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from kerasguard.errors import CorruptCheckpointError, UnknownFormatError
from kerasguard.formats.tensorflow.protobuf_wire import WireError, varint
from kerasguard.storage.budget import excess
from kerasguard.storage.opened_file import OpenedFile

__all__ = ["is_table", "read_table", "unmasked"]

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5  # one byte of compression type, four of checksum
_LARGEST = 1 << 30
# Keys share what they begin with, so a small file could name very much.
_LONGEST_KEY, _SPARE = 1 << 14, 32 << 20
_COMPRESSIONS = {1: "snappy", 2: "zlib", 3: "bzip2", 4: "lz4", 7: "zstd"}


def unmasked(stored: int) -> int:
    """The CRC32C that LevelDB and TensorFlow store rotated, with a constant added."""
    rotated = (stored - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def is_table(path: Path) -> bool:
    """Whether the file at `path` ends as a table does; False where nothing can be read."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(size - len(_MAGIC), 0))
            return size >= _FOOTER and stream.read() == _MAGIC
    except (OSError, ValueError):
        return False


def read_table(file: OpenedFile) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value, in the table's order; each block's checksum is verified first.

    Raises:
        CorruptCheckpointError: it is not a table, is truncated, or a checksum is wrong.
        UnknownFormatError: a block is compressed.
    """
    if over := excess(file.size, _LARGEST):
        raise UnknownFormatError(file.path, f"an index of {file.size} bytes{over}")
    data = file.pread(0, file.size)
    if len(data) < _FOOTER or not data.endswith(_MAGIC):
        raise CorruptCheckpointError(
            file.path, "does not end as a TensorFlow index does; it is truncated: copy it again"
        )
    try:
        footer = data[-_FOOTER:]
        _, _, at = _handle(footer, 0)
        offset, length, _ = _handle(footer, at)
        end, named = 0, 0
        for _, value in _entries(_block(file, data, offset, length)):
            offset, length, _ = _handle(value, 0)
            if offset < end:
                raise WireError(f"the block at byte {offset} overlaps the one before it")
            end = offset + length
            for key, found in _entries(_block(file, data, offset, length)):
                named += len(key)
                if len(key) > _LONGEST_KEY:
                    raise WireError(f"it has a key of {len(key)} bytes, longer than any model's")
                if over := excess(named, _SPARE + 16 * file.size):
                    raise WireError(f"its keys have {named} bytes{over}")
                yield key, found
    except WireError as error:
        raise CorruptCheckpointError(
            file.path, f"its blocks cannot be read: {error}; it is damaged: copy it again"
        ) from error


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Offset and length of a block, and the position behind them."""
    offset, at = varint(data, at)
    length, at = varint(data, at)
    return offset, length, at


def _block(file: OpenedFile, data: bytes, offset: int, length: int) -> bytes:
    """The block's content, its checksum verified."""
    end = offset + length
    if end + _TRAILER > len(data) - _FOOTER:
        raise CorruptCheckpointError(
            file.path, f"has a block beyond its end (byte {end}); it is damaged: copy it again"
        )
    stored = unmasked(int.from_bytes(data[end + 1 : end + _TRAILER], "little"))
    if google_crc32c.value(data[offset : end + 1]) != stored:
        raise CorruptCheckpointError(
            file.path, f"the checksum of the block at byte {offset} is wrong; copy it again"
        )
    if data[end] != 0:
        name = _COMPRESSIONS.get(data[end], f"type {data[end]}")
        raise UnknownFormatError(
            file.path,
            f"its index is compressed ({name}), which no released TensorFlow writes; write it "
            "again with tf.train.Checkpoint.read and .write",
        )
    return data[offset:end]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block."""
    count = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (count + 1)
    if len(block) < 4 or end < 0:
        raise WireError("a block is shorter than its list of restarts")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise WireError("an entry is longer than its block")
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length
