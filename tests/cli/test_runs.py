"""What the command line does with the checkpoints that a run has left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_folders import damage, leave

from kerasguard.cli import program
from kerasguard.cli.program import main

Captured = pytest.CaptureFixture[str]


def test_latest_prints_the_path_alone_and_the_rest_beside_it(
    tmp_path: Path, capsys: Captured
) -> None:
    good = leave(tmp_path / "01.weights.h5", 1, epoch=0)
    bad = leave(tmp_path / "02.weights.h5", 2, epoch=1)
    damage(bad)
    assert main(["latest", str(tmp_path)]) == program.OK
    told = capsys.readouterr()
    assert told.out == f"{good}\n"
    assert "initial_epoch 1 (manifest" in told.err
    assert f"passed over {bad}: KG30" in told.err
    assert main(["latest", str(tmp_path), "--json"]) == program.OK
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["path"], found["initial_epoch"], told.err) == (str(good), 1, "")
    assert [(one["path"], one["state"]) for one in found["passed_over"]] == [(str(bad), "differs")]


def test_latest_has_an_exit_code_for_each_kind_of_nothing(tmp_path: Path) -> None:
    assert main(["latest", str(tmp_path)]) == program.UNREADABLE
    path = leave(tmp_path / "01.weights.h5", 1, recorded=False)
    assert main(["latest", str(tmp_path)]) == program.NO_MANIFEST
    assert main(["latest", str(tmp_path), "--unrecorded"]) == program.OK
    path.write_bytes(path.read_bytes()[:500])
    assert main(["latest", str(tmp_path), "--unrecorded"]) == program.UNREADABLE
