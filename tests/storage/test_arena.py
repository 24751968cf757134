"""Every byte of a checkpoint, read once."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from format_files import CONFIG, hdf5, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasguard.errors import CorruptCheckpointError, ManifestError
from kerasguard.formats import open_checkpoint
from kerasguard.manifest import Manifest
from kerasguard.planning.operations import spec_of
from kerasguard.storage.arena import Arena, Loaded
from kerasguard.storage.file_survey import skeleton_differences
from kerasguard.storage.one_pass import file_records, read_once
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Extent, Table, TensorRecord
from kerasguard.tensors.elements import Array, count_nonfinite, digest

Written = tuple[Path, list[TensorRecord]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Written]:
    """Writes arrays one after the other, with a gap before each."""

    def write_all(arrays: Sequence[Array], gaps: Sequence[int] | int = 3) -> Written:
        path, records, raw = tmp_path / "f", [], bytearray()
        for i, array in enumerate(arrays):
            raw += b"\xee" * (gaps if isinstance(gaps, int) else gaps[i])
            extent = Extent("f", len(raw), array.nbytes)
            records.append(TensorRecord(f"t{i}", spec_of(array), extent=extent))
            raw += array.tobytes()
        path.write_bytes(bytes(raw))
        return path, records

    return write_all


def _load(path: Path, records: Sequence[TensorRecord], **options: bool | int) -> dict[str, Loaded]:
    with OpenedFile(path) as file:
        arena = Arena({"f": file}, records, **{"count_nonfinite": True, **options})  # type: ignore[arg-type]
        arena.start()
        return arena.wait()


def _shapes(path: Path, records: Sequence[TensorRecord]) -> list[tuple[int, ...]]:
    """Of what is read for each record."""
    arrays = [_load(path, records)[record.key].array for record in records]
    return [array.shape for array in arrays if array is not None]


@given(data=st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_arena_holds_what_the_file_holds(
    write: Callable[..., Written], data: st.DataObject
) -> None:
    dtypes = ["float32", "float16", "int8", "uint64", "bool", ml_dtypes.bfloat16]
    sizes = data.draw(st.lists(st.sampled_from([0, 1, 5, 63, 64, 3000, 70_000]), max_size=12))
    gaps = data.draw(st.lists(st.integers(0, 80_000), min_size=12, max_size=12))
    dice = np.random.default_rng(len(sizes))
    arrays = [
        np.frombuffer(dice.bytes(n * np.dtype(d).itemsize), d)
        if d != "bool"
        else dice.integers(0, 2, n).astype(bool)
        for n, d in zip(sizes, data.draw(st.permutations(dtypes * 2)), strict=False)
    ]
    path, records = write(arrays, gaps)
    shuffled = data.draw(st.permutations(records))
    loaded = _load(path, shuffled, threads=data.draw(st.integers(1, 3)))
    assert loaded.keys() == {r.key for r in records}
    for record, array in zip(records, arrays, strict=True):
        found = loaded[record.key]
        assert found.array is not None
        assert found.array.tobytes() == array.tobytes()
        assert spec_of(found.array) == record.spec
        assert found.array.ctypes.data % 64 == 0 or not array.nbytes
        assert found.array.flags.writeable
        assert found.digest == digest(array)
        assert found.nonfinite == count_nonfinite(array)


def test_nonfinite_elements_are_counted_only_where_asked(write: Callable[..., Written]) -> None:
    small = np.array([1, np.nan, np.inf], "float32")
    large = np.tile(small, 1_000_000)
    path, records = write([small, large])
    loaded = _load(path, records)
    assert [loaded[k].nonfinite for k in ("t0", "t1")] == [2, 2_000_000]
    assert {v.nonfinite for v in _load(path, records, count_nonfinite=False).values()} == {None}


def test_shapes_are_kept(write: Callable[..., Written]) -> None:
    arrays = [np.zeros((), "float32"), np.zeros((2, 3, 4), "int32"), np.zeros((200, 300), "f4")]
    path, records = write(arrays)
    assert _shapes(path, records).count((200, 300)) == 1
    assert _shapes(path, records)[0] == ()


def test_ten_thousand_small_tensors_take_few_system_calls(
    write: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, records = write([np.full(16, i, "float32") for i in range(10_000)], gaps=300)
    calls, preadv = list[int](), os.preadv

    def counted(file: int, buffers: Any, offset: int) -> int:
        calls.append(1)
        return preadv(file, buffers, offset)

    monkeypatch.setattr(os, "preadv", counted)
    loaded = _load(path, records)
    assert len(loaded) == 10_000
    assert len(calls) < 50


def test_small_reads_that_come_back_short_are_continued(
    write: Callable[..., Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = [np.arange(n, dtype="float32") for n in (5, 0, 17, 3, 900)]
    path, records = write(arrays)
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, bufs, at: preadv(fd, [bufs[0][:11]], at))
    for record, array in zip(records, arrays, strict=True):
        assert _load(path, records)[record.key].digest == digest(array)


def test_a_tensor_takes_its_own_size_in_memory_and_no_more(write: Callable[..., Written]) -> None:
    arrays = [np.ones(4_000_000, "float32"), *(np.ones(1000, "float32") for _ in range(100))]
    path, records = write(arrays)
    total = sum(a.nbytes for a in arrays)
    del arrays
    before = _resident()
    loaded = _load(path, records)
    assert total * 0.9 < _resident() - before < total * 1.2
    del loaded
    assert _resident() - before < total * 0.2


def _resident() -> int:
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("threads", [1, 2])
def test_digests_alone_take_a_piece_of_memory_per_thread(
    write: Callable[..., Written], threads: int
) -> None:
    dice = np.random.default_rng(0)
    sizes = [3_000_001, 1_000_000, 40_000, *(range(1, 500, 7)), 0]
    arrays = [dice.normal(size=n).astype("float32") for n in sizes]
    arrays[0][[5, 2_999_999]] = np.nan, np.inf
    path, records = write(arrays)
    expected = {f"t{n}": (digest(a), count_nonfinite(a)) for n, a in enumerate(arrays)}
    del arrays
    tracemalloc.start()
    try:
        loaded = _load(path, records, keep=False, threads=threads)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {k: (v.digest, v.nonfinite) for k, v in loaded.items()} == expected
    assert {v.array is None for v in loaded.values()} == {True}
    assert peak < (threads + 1) * (1 << 20) * 1.5


def test_a_file_that_ends_early_is_told_by_wait(write: Callable[..., Written]) -> None:
    path, records = write([np.ones(9, "float32"), np.ones(90_000, "float32")])
    for length in (path.stat().st_size - 1, 20):
        os.truncate(path, length)
        with pytest.raises(CorruptCheckpointError, match="truncated"):
            _load(path, records)


def test_an_extent_that_contradicts_the_spec_is_refused(write: Callable[..., Written]) -> None:
    path, records = write([np.ones(9, "float32")])
    for extent in (Extent("f", 0, 35), None):
        with pytest.raises(ManifestError, match="record the checkpoint again"):
            _load(path, [replace(records[0], extent=extent)])


def test_an_extent_outside_the_file_or_in_no_file_is_refused(
    write: Callable[..., Written],
) -> None:
    path, records = write([np.ones(9, "float32"), np.ones(2, "float32")])
    with pytest.raises(CorruptCheckpointError):
        _load(path, [replace(records[0], extent=Extent("f", 1 << 40, 36))])
    elsewhere = replace(records[1], extent=Extent("g", 0, 8))
    with pytest.raises(ManifestError, match="'g'"):
        _load(path, [records[0], elsewhere])


def test_waiting_again_gives_the_same(write: Callable[..., Written]) -> None:
    path, records = write([np.ones(9, "float32")])
    with OpenedFile(path) as file:
        arena = Arena({"f": file}, records, count_nonfinite=False)
        arena.start()
        assert arena.wait() is arena.wait()


def test_an_arena_may_be_given_up(write: Callable[..., Written]) -> None:
    path, records = write([np.ones(100_000, "float32") for _ in range(20)])
    with OpenedFile(path) as file:
        arena = Arena({"f": file}, records, count_nonfinite=False)
        arena.start()
        arena.close()


def test_empty_tensors_may_lie_anywhere(write: Callable[..., Written]) -> None:
    """TensorFlow has the keys of an empty lookup table begin where another tensor begins."""
    path, records = write([np.ones(24, "float32")], 0)
    empty = spec_of(np.zeros(0, "int64"))
    records += [TensorRecord(key, empty, extent=Extent("f", 0, 0)) for key in ("keys", "values")]
    assert _shapes(path, records) == [(24,), (0,), (0,)]


def test_nothing_is_read_of_nothing(write: Callable[..., Written]) -> None:
    path, _ = write([])
    assert _load(path, []) == {}


# Files


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Manifest]:
    """A `.keras` file and a manifest of it."""
    import json

    tensors = {f"layers/dense{n}/vars/0": np.full((8, 8), 1, "float32") for n in ("", "_1")}
    path = tmp_path / "m.keras"
    path.write_bytes(
        zipped({"config.json": json.dumps(CONFIG).encode(), "model.weights.h5": hdf5(tensors)})
    )
    with open_checkpoint(path) as checkpoint:
        table = checkpoint.table()
        digests = {k: digest(checkpoint.read(k)) for k in table.tensors}
        known = Table.of(replace(r, digest=digests[k]) for k, r in table.tensors.items())
        return path, Manifest(
            "keras_zip", file_records(checkpoint, read_once(checkpoint.files(), table)), known
        )


def test_a_file_record_tells_size_and_sha256(recorded: tuple[Path, Manifest]) -> None:
    path, manifest = recorded
    (record,) = manifest.files
    assert record.name == "m.keras"
    assert record.size == path.stat().st_size
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [m.name for m in record.members] == ["config.json", "model.weights.h5"]


def test_skeleton_and_tensors_cover_every_byte_exactly_once(
    recorded: tuple[Path, Manifest],
) -> None:
    path, manifest = recorded
    whole = path.read_bytes()
    inside = np.zeros(len(whole), bool)
    for record in manifest.table.tensors.values():
        assert record.extent is not None
        inside[record.extent.offset : record.extent.offset + record.extent.length] = True
    for at in range(0, len(whole), 13):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(bytes(damaged))
        with OpenedFile(path) as file:
            skeleton = skeleton_differences({path.name: file}, manifest)
            arena = Arena({path.name: file}, manifest.table.tensors.values(), count_nonfinite=False)
            arena.start()
            tensors = [
                k for k, v in arena.wait().items() if v.digest != manifest.table.tensors[k].digest
            ]
        assert bool(tensors) == inside[at]
        assert skeleton == ([] if inside[at] else ["m.keras"])


def test_a_renamed_file_is_still_the_recorded_one(recorded: tuple[Path, Manifest]) -> None:
    path, manifest = recorded
    other = path.rename(path.with_name("best.keras"))
    with OpenedFile(other) as file:
        assert skeleton_differences({"best.keras": file}, manifest) == []
        arena = Arena({"best.keras": file}, manifest.table.tensors.values(), count_nonfinite=False)
        arena.start()
        assert len(arena.wait()) == 2


def test_a_file_that_grew_or_is_gone_differs(recorded: tuple[Path, Manifest]) -> None:
    path, manifest = recorded
    assert skeleton_differences({}, manifest) == ["m.keras"]
    with path.open("ab") as file:
        file.write(b"\0")
    with OpenedFile(path) as opened:
        assert skeleton_differences({path.name: opened}, manifest) == ["m.keras"]
