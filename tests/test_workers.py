"""Two processes of TensorFlow: one checkpoint is saved, and both load the same one or none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from worker_processes import run_workers

pytest.importorskip("tensorflow")
pytest.importorskip("tf_keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]

JOB = Path(__file__).parent / "support" / "worker_job.py"
RUNS = 3


def cases(told: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.splitlines() if line.startswith("{")]


def each(folder: Path, part: str) -> dict[str, list[list[dict[str, Any]]]]:
    """By case, what the workers told of it, run by run."""
    first, second = map(cases, run_workers(JOB, [folder, part], folder, 300))
    assert [one["case"] for one in first] == [one["case"] for one in second]
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for pair in zip(first, second, strict=True):
        found.setdefault(pair[0]["case"], []).append(list(pair))
    return found


def test_workers_of_tf_keras_save_one_checkpoint_and_load_the_same_or_none(
    tmp_path: Path, repository: Path
) -> None:
    found = each(tmp_path, "tf_keras")
    saved = [f"{epoch}{suffix}" for epoch in (1, 2) for suffix in (".keras", ".weights.h5")]
    saved.append("direct.keras")
    listing = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert listing == sorted([*saved, *(f"{name}.manifest.json" for name in saved)])

    for name, mine in (("direct", [True, False]), ("own", [True, True])):
        recorded = found[f"recorded {name}.keras"][0]
        assert [one["mine"] for one in recorded] == mine
        assert {(one["strategy"], one["workers"]) for one in recorded} == {
            ("MultiWorkerMirroredStrategy", 2)
        }

    wanted = found["good/m.keras exact"][0][0]["digest"]
    for name in ("missing", "bare", "damaged", "cut", "other"):
        runs = found[f"{name}/m.keras off"]
        assert len(runs) == RUNS
        for one in (worker for run in runs for worker in run):
            assert one["reasons"].keys() == {"1"}, one
            assert one["same"], "a model was changed"
            assert one["seconds"] < 15
    for run in found["other/m.keras exact"]:
        for one in run:
            assert "a different checkpoint" in one["reasons"]["1"]
    for name in ("missing", "bare", "damaged", "cut"):
        runs = found[f"{name}/m.keras exact"]
        assert len(runs) == RUNS
        for one in (worker for run in runs for worker in run):
            assert (one["digest"], one["codes"], one["proven"]) == (wanted, ["KG307"], True), one
    for name in ("2.keras", "2.weights.h5", "direct.keras"):
        first, second = found[f"run/{name} exact"][0]
        assert first["digest"] == second["digest"]
        assert (first["codes"], first["proven"]) == ([], True)

    files = [str(tmp_path / "run" / name) for name in ("2.keras", "2.weights.h5")]
    done = subprocess.run(
        [sys.executable, JOB.with_name("worker_files.py"), *files],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), str(JOB.parent)])},
        capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = [line.split(": ") for line in done.stdout.splitlines()]
    assert len(told) == 5
    assert all(len(set(count.split(" of "))) == 1 for _, count in told), done.stdout


def test_workers_of_keras_3_build_the_same_model_from_a_checkpoint(tmp_path: Path) -> None:
    found = each(tmp_path, "keras3")
    good, missing = (found[f"three-{n}/m.keras exact"] for n in ("good", "missing"))
    skipping = good.pop()  # its head has what the chief's initialisers made
    assert len(good) == len(missing) == 3
    assert len({one["digest"] for run in (*good, *missing) for one in run}) == 1
    assert skipping[0]["digest"] == skipping[1]["digest"] != good[0][0]["digest"]
    for run in (*good, *missing, skipping):
        assert all(one["proven"] for one in run)
    assert all("KG307" in one["codes"] for run in missing for one in run)
    for one in found["three/odd.keras exact"][0]:
        assert "only here" in one["reasons"]["1"]
        assert one["seconds"] < 15
    assert found["three-missing/m.keras off"][0][0]["reasons"].keys() == {"1"}
