"""One read of a checkpoint: what is digested is what is used, kept in memory or not."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from format_files import hdf5

import kerasguard as kg
from kerasguard.errors import CorruptCheckpointError
from kerasguard.loader.reading import Reading
from kerasguard.tensors import Table

LARGE = 6_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "m.weights.h5"
    tensors = {
        "layers/dense/vars/0": np.arange(LARGE, dtype="float32").reshape(1000, -1),
        "layers/dense/vars/1": np.ones(7, "float32"),
    }
    path.write_bytes(hdf5(tensors))
    return path


@pytest.mark.parametrize("manifest", ["ignore", "require"])
def test_a_reading_that_keeps_nothing_tells_the_same(path: Path, manifest: str) -> None:
    kg.record(path)
    tables = []
    for keep in (True, False):
        with Reading(path, manifest, keep=keep) as reading:  # type: ignore[arg-type]
            tables.append(reading.finish())
    assert tables[0] == tables[1]


def test_a_tensor_that_was_not_kept_is_read_again(path: Path) -> None:
    with Reading(path, keep=False) as reading:
        reading.finish()
        array = reading.value("layers/dense/vars/0")
    np.testing.assert_array_equal(array.reshape(-1), np.arange(LARGE, dtype="float32"))


def test_a_tensor_that_changed_since_it_was_digested_is_refused(path: Path) -> None:
    with Reading(path, keep=False) as reading:
        record = reading.finish().tensors["layers/dense/vars/1"]
        assert record.extent is not None
        with path.open("r+b") as file:
            file.seek(record.extent.offset)
            file.write(os.urandom(4))
        with pytest.raises(CorruptCheckpointError, match="changed while"):
            reading.value(record.key)


def test_recording_and_verifying_keep_no_tensor(path: Path) -> None:
    tracemalloc.start()
    try:
        kg.record(path)
        assert kg.verify(path).ok
        with Reading(path, keep=False) as reading:
            reading.finish()
        assert tracemalloc.get_traced_memory()[1] < LARGE * 4 * 0.6
    finally:
        tracemalloc.stop()


def test_a_dry_run_keeps_no_tensor(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(6000)])
    model.save_weights(path)
    kg.record(path, model)
    kept: list[bool] = []
    finish = Reading.finish

    def finished(reading: Reading) -> Table:
        table = finish(reading)
        kept.append(bool(reading._values))
        return table

    monkeypatch.setattr(Reading, "finish", finished)
    assert kg.plan(path, model).total
    kg.load(path, model)
    assert kept == [False, True]
