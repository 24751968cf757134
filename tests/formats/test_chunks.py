"""A compressed chunk is measured before libhdf5 unpacks it, so a small file stays a small one."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

import kerasguard as kg
from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats.hdf5 import chunks

KEY = "layers/dense/vars/0"
VALUES = np.arange(11 * 70, dtype="float32").reshape(11, 70)


def written(path: Path, data: bytes, **options: Any) -> Path:
    """A file with one chunk of 8 x 8 numbers, whose stored bytes are `data`."""
    with h5py.File(path, "w") as file:
        place = file.create_dataset(KEY, (8, 8), "float32", chunks=(8, 8), **options)
        place.id.write_direct_chunk((0, 0), data)
    return path


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("fletcher32", [False, True])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<i8"])
def test_what_hdf5_compresses_is_read_as_it_was_written(
    tmp_path: Path, compression: str | None, shuffle: bool, fletcher32: bool, dtype: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 1000, VALUES.shape)
    for values in (VALUES, noise):  # the second hardly shrinks, and LZF then leaves it as it is
        with h5py.File(tmp_path / "a.weights.h5", "w") as file:
            file.create_dataset(
                KEY, data=values.astype(dtype), chunks=(4, 32), compression=compression,
                shuffle=shuffle, fletcher32=fletcher32,
            )  # fmt: skip
        found = kg.read(tmp_path / "a.weights.h5")[KEY]
        np.testing.assert_array_equal(found, values.astype(dtype))


def test_a_sum_before_the_compression_counts_with_it(tmp_path: Path) -> None:
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk((8, 8))
    plan.set_fletcher32()
    plan.set_deflate(6)
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars").id
        place = h5d.create(group, b"0", h5t.IEEE_F32LE, h5s.create_simple((8, 8)), plan)
        place.write(h5s.ALL, h5s.ALL, np.ones((8, 8), "float32"))
    assert kg.read(tmp_path / "a.weights.h5")[KEY].sum() == 64


@pytest.mark.parametrize("length", [255, 257, 64 << 20])
@pytest.mark.parametrize("kind", ["gzip", "lzf"])
def test_a_chunk_of_another_length_is_refused_and_takes_no_memory(
    tmp_path: Path, kind: str, length: int
) -> None:
    if kind == "gzip":
        data = zlib.compress(bytes(length), 9)
    else:  # a run of one zero, then copies of it of up to 264 bytes
        whole, rest = divmod(length - 1, 264)
        data = b"\0\0" + b"\xe0\xff\0" * min(whole, 4000) + (b"\0\0" * rest if rest < 264 else b"")
    path = written(tmp_path / "a.weights.h5", data, compression=kind)
    tracemalloc.start()
    for ask in (kg.verify, lambda p: kg.read(p)[KEY]):
        with pytest.raises(CorruptCheckpointError, match=r"a\.weights\.h5.*does not unpack to"):
            ask(path)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_bytes_that_are_no_stream_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.weights.h5", b"no stream", compression="gzip")
    with pytest.raises(CorruptCheckpointError, match="cannot be unpacked"):
        kg.verify(path)


def test_what_is_compressed_twice_is_refused_by_its_description(tmp_path: Path) -> None:
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk((8, 8))
    plan.set_deflate(9)
    plan.set_deflate(9)
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars").id
        place = h5d.create(group, b"0", h5t.IEEE_F32LE, h5s.create_simple((8, 8)), plan)
        place.write_direct_chunk((0, 0), zlib.compress(zlib.compress(bytes(8 << 20), 9), 9))
    with pytest.raises(CorruptCheckpointError, match="more than once"):
        kg.inspect(tmp_path / "a.weights.h5")


def test_lengths_of_lzf_are_those_that_it_unpacks_to() -> None:
    assert chunks._lzf(b"\x02abc", 9) == 3
    assert chunks._lzf(b"\x00a\x20\x00", 9) == 4  # one byte, then it three times more
    assert chunks._lzf(b"\x00a\xe0\x05\x00", 99) == 1 + 7 + 5 + 2
    assert chunks._lzf(b"\xe0", 99) == 9
