"""Reading beside a writer gives a complete pair, the old one or the new."""

from __future__ import annotations

import functools
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kerasguard as kg
from kerasguard.recorder.recording import record, survey_checkpoint
from kerasguard.storage import durable, sidecar
from kerasguard.storage.commit import staged
from kerasguard.storage.pair import undisturbed

READS = {"one writer": 1, "eight writers": 8}


def write(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"] = np.random.default_rng().normal(size=(8, 8)).astype(np.float32)


def save(path: Path) -> None:
    with staged(path) as stage:
        stage.write(write)
        assert stage.checkpoint is not None
        manifest, _ = survey_checkpoint(stage.checkpoint, None, training={}, previous=path)
        stage.commit(manifest)


def write_on(path: Path) -> None:
    while True:
        save(path)


@contextmanager
def writers(path: Path, count: int) -> Iterator[None]:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write_on, args=(path,), daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def verified(path: Path) -> str:
    report = kg.verify(path)
    assert report.origin == "recorded"
    assert report.ok, report
    return report.checkpoint_id


@functools.cache
def model() -> Any:
    import keras

    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, use_bias=False)])


def loaded(path: Path) -> str:
    report = kg.restore(path, model(), manifest="require", probe=False).report
    assert report.origin == "recorded"
    assert report.ok, report
    assert np.any(model().weights[0])
    return report.checkpoint_id


@pytest.mark.parametrize("count", READS.values(), ids=READS)
@pytest.mark.parametrize(
    ("read", "reads"),
    [
        (verified, 100),
        pytest.param(verified, 10_000, marks=pytest.mark.slow),
        pytest.param(loaded, 10, marks=pytest.mark.keras),
        pytest.param(loaded, 10_000, marks=[pytest.mark.keras, pytest.mark.slow]),
    ],
)
def test_no_read_beside_writers_finds_a_pair_that_does_not_belong_together(
    tmp_path: Path, count: int, read: Callable[[Path], str], reads: int
) -> None:
    path = tmp_path / "m.weights.h5"
    save(path)
    seen: set[str] = set()
    with writers(path, count):
        while (reads := reads - 1) >= 0 or len(seen) < 4:
            seen.add(read(path))
    save(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, f"{path.name}.manifest.json"]


def test_a_save_waits_until_a_reader_has_opened_its_pair(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    save(path)
    before = kg.inspect(path)
    other = threading.Thread(target=save, args=(path,))
    with undisturbed(path):
        other.start()
        other.join(0.3)
        assert other.is_alive()
        assert sidecar.read(path) == before
    other.join()
    assert kg.inspect(path) != before
    assert kg.verify(path).ok


def test_a_folder_that_somebody_keeps_locked_does_not_stop_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.weights.h5"
    save(path)
    monkeypatch.setattr(durable, "_PATIENCE", 0.05)
    with durable.locked(tmp_path):
        assert kg.verify(path).ok
        save(path)
    assert kg.verify(path).ok


def test_a_checkpoint_that_is_replaced_while_it_is_recorded_keeps_its_own_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kerasguard.errors import CheckpointError
    from kerasguard.recorder import recording

    path = tmp_path / "m.weights.h5"
    write(path)
    survey = recording.survey_checkpoint

    def slow(*args: object, **options: object) -> object:
        found = survey(*args, **options)  # type: ignore[arg-type]
        save(path)
        return found

    monkeypatch.setattr(recording, "survey_checkpoint", slow)
    with pytest.raises(CheckpointError, match="replaced while"):
        record(path)
    assert kg.verify(path).ok
