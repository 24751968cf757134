"""How far layers moved, from files alone: what is taken for a run, and what the numbers are."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from run_folders import damage, leave

import kerasguard as kg
from kerasguard.errors import ArgumentError, CheckpointNotFoundError


def weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint by the names that messages have for them: `dense/0`."""
    with kg.read(path) as arrays:
        return {record.label: arrays[name] for name, record in arrays.records.items()}


def test_drift_is_the_norm_of_the_difference_as_a_part_of_the_norm(tmp_path: Path) -> None:
    paths = [leave(tmp_path / f"0{n}.weights.h5", n, epoch=n - 1) for n in (1, 2, 3)]
    report = kg.drift(tmp_path)
    assert [one.name for one in report.saved] == [path.name for path in paths]
    assert [one.epochs for one in report.saved] == [1, 2, 3]
    before, after = weights(paths[1]), weights(paths[2])
    for layer, drift in report.layers.items():
        names = [name for name in before if name.rpartition("/")[0] == layer]
        assert len(names) == 2
        one, other = (np.concatenate([w[n].ravel() for n in names]) for w in (before, after))
        expected = np.linalg.norm(other - one) / np.linalg.norm(one)
        assert drift[1] == pytest.approx(float(expected), rel=1e-6)
        assert report.norms[layer][2] == pytest.approx(float(np.linalg.norm(other)), rel=1e-6)
    assert len(report.layers) == 2


def test_the_longest_series_is_the_run_and_the_epoch_decides_the_order(tmp_path: Path) -> None:
    for n in (9, 10, 11):
        leave(tmp_path / f"{n}.weights.h5", 20 - n, epoch=n - 1)
    leave(tmp_path / "best.weights.h5", 1)
    report = kg.drift(tmp_path)
    assert [one.name for one in report.saved] == [f"{n}.weights.h5" for n in (9, 10, 11)]
    assert [Path(other).name for other in report.others] == ["best.weights.h5"]


def test_a_damaged_checkpoint_is_named_and_left_out(tmp_path: Path) -> None:
    paths = [leave(tmp_path / f"0{n}.weights.h5", n, epoch=n - 1) for n in (1, 2, 3)]
    damage(paths[1])
    report = kg.drift(tmp_path)
    assert not report.ok
    assert [one.state for one in report.saved] == ["intact", "differs", "intact"]
    assert "KG30" in report.saved[1].why
    assert all(len(drift) == 1 for drift in report.layers.values())


def test_the_same_file_twice_has_not_moved(tmp_path: Path) -> None:
    path = leave(tmp_path / "01.weights.h5", 1)
    report = kg.drift([path, path])
    assert report.still == tuple(report.layers)
    assert len(report.still) == 2


def test_a_value_that_is_no_number_is_told(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"head/kernel": np.ones((2, 2), "float32")}, tmp_path / "1.safetensors")
    save_file(
        {"head/kernel": np.array([[np.nan, 1], [1, 1]], "float32")}, tmp_path / "2.safetensors"
    )
    report = kg.drift(tmp_path)
    assert report.layers == {"head": (math.inf,)}
    assert not report.ok


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError):
        kg.drift(tmp_path)
    with pytest.raises(NotADirectoryError):
        kg.drift(tmp_path / "absent")
    for wrong in (7, [], b"x", [3]):
        with pytest.raises(ArgumentError, match="run="):
            kg.drift(wrong)  # type: ignore[arg-type]
