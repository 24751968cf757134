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


def test_record_says_what_it_would_do_and_what_a_later_manifest_proves(
    tmp_path: Path, capsys: Captured
) -> None:
    path = leave(tmp_path / "01.weights.h5", 1, recorded=False)
    assert main(["record", str(tmp_path), "--dry-run"]) == program.OK
    assert "1 unrecorded" in capsys.readouterr().out
    assert main(["verify", str(path)]) == program.NO_MANIFEST
    assert main(["record", str(tmp_path)]) == program.OK
    assert "from now on" in capsys.readouterr().err
    assert main(["verify", str(path)]) == program.OK
    capsys.readouterr()
    assert main(["record", str(path), "--json"]) == program.OK
    (one,) = json.loads(capsys.readouterr().out)["checkpoints"]
    assert (one["path"], one["state"]) == (str(path), "kept")
    path.with_name("cut.keras").write_bytes(b"PK\3\4")
    assert main(["record", str(path.with_name("cut.keras"))]) == program.UNREADABLE


def test_what_is_left_over_is_told_by_scan_and_tidied(tmp_path: Path, capsys: Captured) -> None:
    old, gone = (leave(tmp_path / f"0{n}.weights.h5", n) for n in (1, 2))
    old.rename(tmp_path / "best.weights.h5")
    gone.unlink()
    assert main(["scan", str(tmp_path), "--processes", "1"]) == program.OK
    assert "2 files of kerasguard's belong to no checkpoint" in capsys.readouterr().err
    assert main(["tidy", str(tmp_path)]) == program.DIFFERS
    assert "--pair" in capsys.readouterr().err
    assert main(["tidy", str(tmp_path), "--pair", "--remove", "--json"]) == program.OK
    found = json.loads(capsys.readouterr().out)["leftovers"]
    assert [one["state"] for one in found] == ["paired", "removed"]
    assert main(["verify", str(tmp_path / "best.weights.h5")]) == program.OK


def test_cp_and_mv_keep_the_pair_together(tmp_path: Path, capsys: Captured) -> None:
    first, second = (str(leave(tmp_path / f"0{n}.weights.h5", n)) for n in (1, 2))
    target = str(tmp_path / "best.weights.h5")
    assert main(["cp", first, target]) == program.OK
    assert main(["mv", first, second, str(tmp_path / "nothing")]) == program.USAGE
    (tmp_path / "archive").mkdir()
    assert main(["mv", first, second, str(tmp_path / "archive")]) == program.OK
    assert main(["mv", first, str(tmp_path / "archive")]) == program.UNREADABLE
    assert main(["cp", target, str(tmp_path / "archive" / "01.weights.h5")]) == program.USAGE
    capsys.readouterr()
    assert main(["verify", target, *map(str, (tmp_path / "archive").glob("*.h5"))]) == program.OK
    assert {path.name for path in tmp_path.iterdir()} == {
        "archive", "best.weights.h5", "best.weights.h5.manifest.json",
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["mv", "cp"])
def test_a_manifest_goes_nowhere_without_its_checkpoint(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.keras.manifest.json"
    manifest.write_text("{}")
    assert main([verb, str(manifest), str(tmp_path / "q")]) != program.OK
    assert "is the manifest of m.keras" in capsys.readouterr().err
    assert manifest.exists()
    assert not (tmp_path / "q").exists()
