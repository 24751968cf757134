"""Every digest of a checkpoint's files from one reading."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from kerasguard.errors import CorruptCheckpointError, ManifestError
from kerasguard.storage import one_pass
from kerasguard.storage.one_pass import Digests, read_once
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Extent, Table, TensorRecord, TensorSpec


def record(offset: int, count: int, dtype: str = "float32", file: str = "m") -> TensorRecord:
    spec = TensorSpec((count,), dtype)
    return TensorRecord(f"t{offset}", spec, extent=Extent(file, offset, spec.nbytes))


def found(path: Path, records: list[TensorRecord]) -> Digests:
    with OpenedFile(path) as file:
        return read_once({"m": file}, Table.of(records))


def assert_right(data: bytes, records: list[TensorRecord], read: Digests, path: Path) -> None:
    assert read.sha256 == {"m": hashlib.sha256(data).hexdigest()}
    with OpenedFile(path) as file:
        extents = [(r.extent.offset, r.extent.length) for r in records if r.extent]
        assert read.skeletons == {"m": file.skeleton(extents)}
    assert read.tensors.keys() == {r.key for r in records}
    for one in records:
        assert one.extent is not None
        part = data[one.extent.offset :][: one.extent.length]
        loaded = read.tensors[one.key]
        assert loaded.digest == f"xxh3:{xxhash.xxh3_128_hexdigest(part)}"
        array = np.frombuffer(part, one.spec.dtype)
        assert loaded.nonfinite == (0 if "int" in one.spec.dtype else np.sum(~np.isfinite(array)))
        assert loaded.array is None


@given(
    places=st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 60), st.sampled_from(["float32", "int16"])),
        max_size=12,
    ),
    rest=st.integers(0, 40),
    piece=st.integers(1, 64),
    seed=st.integers(0, 1000),
)
def test_whatever_lies_where(
    places: list[tuple[int, int, str]],
    rest: int,
    piece: int,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Pieces of any size, tensors of any size anywhere, with NaN and infinity among the values."""
    records, position = [], 0
    for gap, count, dtype in places:
        records.append(record(position + gap, count, dtype))
        if len({r.key for r in records}) < len(records):  # two empty ones at one place
            records.pop()
            continue
        position = records[-1].extent.offset + records[-1].extent.length  # type: ignore[union-attr]
    words = np.array([0, 1, 0x7F800000, 0x7FC00000], "<u4")
    drawn = np.random.default_rng(seed).choice(words, (position + rest) // 4 + 1)
    data = drawn.tobytes()[: position + rest]
    path = tmp_path_factory.mktemp("one") / "m"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_pass, "_PIECE", 4 * piece)
        patch.setattr(one_pass, "_SMALL", 2 * piece)
        read = found(path, records)
    assert_right(data, records, read, path)


def test_large_and_small_ones_together(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    data = dice.standard_normal(2_000_000, "float32").tobytes()
    records = [record(4, 10), record(100, 900_001), record(3_600_200, 300_000)]
    path = tmp_path / "m"
    path.write_bytes(data)
    assert_right(data, records, found(path, records), path)


def test_tensors_that_share_bytes(tmp_path: Path) -> None:
    data = np.arange(20, dtype="float32").tobytes()
    records = [record(8, 4), record(16, 4), record(48, 2)]
    path = tmp_path / "m"
    path.write_bytes(data)
    assert_right(data, records, found(path, records), path)


def test_places_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(bytes(64))
    with pytest.raises(ManifestError, match="which the checkpoint lacks"):
        found(path, [record(0, 4, file="other")])
    short = TensorRecord("t", TensorSpec((4,), "float32"), extent=Extent("m", 0, 8))
    with pytest.raises(ManifestError, match="its place in the file"):
        found(path, [short])
    with pytest.raises(CorruptCheckpointError, match="ends at byte 64"):
        found(path, [record(56, 4)])
