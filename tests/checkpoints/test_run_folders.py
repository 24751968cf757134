"""Checkpoints that a run has left: recorded afterwards, moved with all that is theirs, tidied."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import leave

import kerasguard as kg
from kerasguard.checkpoints import moving
from kerasguard.checkpoints.adopt import adopt
from kerasguard.checkpoints.tidy import tidy
from kerasguard.errors import CheckpointError, OutputError
from kerasguard.storage import owners, placing, relocation, sidecar

FORMS = ("07.keras", "07.weights.h5", "ckpt-3")


def intact(path: Path) -> bool:
    report = kg.verify(path)
    return report.ok and report.origin == "recorded"


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_has_no_manifest_gets_one_and_no_other_is_touched(tmp_path: Path) -> None:
    for number, name in enumerate(FORMS):
        leave(tmp_path / "run" / name, number, recorded=False)
    recorded = leave(tmp_path / "run" / "08.keras", 8)
    broken = leave(tmp_path / "run" / "09.keras", 9, recorded=False)
    sidecar.sidecar_path(broken).write_text("{}")
    (tmp_path / "run" / "cut.keras").write_bytes(recorded.read_bytes()[:700])
    (tmp_path / "run" / "notes.txt").write_text("none")
    before = content(tmp_path)
    told = {Path(one.path).name: one.state for one in adopt(tmp_path, dry_run=True)}
    assert told == {
        **dict.fromkeys(FORMS, "unrecorded"),
        **dict.fromkeys(("08.keras", "09.keras"), "kept"),
        "cut.keras": "unreadable",
    }
    assert content(tmp_path) == before
    told = {Path(one.path).name: one.state for one in adopt(tmp_path)}
    assert [told[name] for name in FORMS] == ["recorded"] * 3
    assert all(intact(tmp_path / "run" / name) for name in FORMS)
    after = content(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 3
    (one,) = adopt(broken)
    assert one.state == "kept"
    with pytest.raises(CheckpointError, match="no such file"):
        list(adopt(tmp_path / "nothing.keras"))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("recorded", [True, False])
def test_a_copy_and_a_move_keep_everything_together(
    tmp_path: Path, name: str, recorded: bool
) -> None:
    source = leave(tmp_path / "run" / name, 1234, recorded=recorded)
    (tmp_path / "run" / f"{name}5.other").write_text("not a part of it")
    before = content(tmp_path)
    new = moving.copy(source, tmp_path / f"best-{name}")
    assert (intact(new), intact(source)) == (recorded, recorded)
    assert kg.compare(source, new) == ()
    times = [p.stat().st_mtime for p in (new, Path(f"{new}.index")) if p.exists()]
    assert times == [1234]
    assert {k: v for k, v in content(tmp_path).items() if k in before} == before
    with pytest.raises(OutputError, match="exists and is not overwritten"):
        moving.copy(source, new)
    (tmp_path / "archive").mkdir()
    moved = moving.move(new, tmp_path / "archive")
    assert moved == tmp_path / "archive" / new.name
    assert intact(moved) == recorded
    assert {p.name for p in tmp_path.iterdir()} == {"run", "archive"}


@pytest.mark.keras
def test_folders_shards_and_companions_go_along(tmp_path: Path) -> None:
    import keras

    wide = [keras.layers.Dense(32) for _ in range(3)]
    model = keras.Sequential([keras.Input((32,)), *wide, keras.layers.Dropout(0.5)])
    with kg.patched():
        model.save(tmp_path / "folder", zipped=False)
        model.save(tmp_path / "a.keras")
        for _ in range(2):
            model.save_weights(tmp_path / "s.weights.json", max_shard_size=6e-6)
    (tmp_path / "to").mkdir()
    new = moving.move(tmp_path / "folder", tmp_path / "other")
    assert intact(new)
    new = moving.move(tmp_path / "a.keras", tmp_path / "b.keras")
    assert intact(new)
    np.testing.assert_array_equal(kg.load(new).weights[0], model.weights[0])
    with pytest.raises(OutputError, match="so it must keep its own name"):
        moving.move(tmp_path / "s.weights.json", tmp_path / "t.weights.json")
    new = moving.move(tmp_path / "s.weights.json", tmp_path / "to")
    assert intact(new)
    again = keras.models.clone_model(model)
    again.load_weights(new)
    np.testing.assert_array_equal(again.weights[2], model.weights[2])
    left = {path.name.split(".companion")[0] for path in tmp_path.iterdir()}
    assert left == {"to", "other", "other.manifest.json", "b.keras", "b.keras.manifest.json"}


@pytest.mark.parametrize("name", FORMS)
def test_a_move_that_is_cut_short_leaves_one_that_verifies(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step after which a process may be killed, one after the other."""
    for step in range(30):
        folder = tmp_path / str(step)
        source, target = leave(folder / name, 1), folder / "new" / name
        target.parent.mkdir()
        left = [step]

        def cut(*_: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            for owner, call in (
                (Path, "unlink"), (Path, "rename"), (Path, "replace"), (placing, "link"),
            ):  # fmt: skip
                real = getattr(owner, call)

                def stopped(*args: Any, real: Any = real, cut: Any = cut, **options: Any) -> Any:
                    cut()
                    return real(*args, **options)

                patch.setattr(owner, call, stopped)
            try:
                relocation.move(source, target, moving._places(source, target)[2])
            except KeyboardInterrupt:
                pass
            else:
                assert step > 3
                break
        good = [p for p in (source, target) if _verifies(p)]
        assert good, step


def _verifies(path: Path) -> bool:
    try:
        return intact(path)
    except CheckpointError:
        return False


def test_across_file_systems_a_move_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    source = leave(tmp_path / "a.keras", 77)
    new = moving.move(source, tmp_path / "b.keras")
    assert (intact(new), new.stat().st_mtime, source.exists()) == (True, 77, False)


def test_leftovers_are_listed_and_removed_on_request_and_foreign_files_never(
    tmp_path: Path,
) -> None:
    good = leave(tmp_path / "run" / "01.keras", 1)
    for name in ("02.keras", "ckpt-2"):
        gone = leave(tmp_path / "run" / name, 2)
        for part in gone.parent.glob(f"{name}*"):
            if not part.name.endswith(sidecar.SUFFIX):
                part.unlink()
    foreign = tmp_path / "run" / "package.json.manifest.json"
    foreign.write_text('{"schema": "of something else"}')
    stray = tmp_path / "run" / "03.keras.companion-0123abcd.safetensors"
    stray.write_bytes(b"x")
    hidden = tmp_path / "run" / f".04.keras.kg-999999-{owners._here()}aaaa12345678"
    hidden.mkdir()
    before = content(tmp_path)
    found = {Path(one.path).name: (one.kind, one.state) for one in tidy(tmp_path)}
    assert found == {
        "02.keras.manifest.json": ("manifest", "found"),
        "ckpt-2.manifest.json": ("manifest", "found"),
        stray.name: ("companion", "found"),
        hidden.name: ("staging", "found"),
    }
    assert content(tmp_path) == before
    assert [one.state for one in tidy(tmp_path, remove=True)] == ["removed"] * 4
    assert tidy(tmp_path) == []
    assert {p.name for p in good.parent.iterdir()} == {
        "01.keras", "01.keras.manifest.json", foreign.name,
    }  # fmt: skip
    assert intact(good)


def test_a_renamed_checkpoint_gets_its_manifest_back(tmp_path: Path) -> None:
    old = leave(tmp_path / "01.keras", 1)
    leave(tmp_path / "02.keras", 2, recorded=False)
    (tmp_path / "best").mkdir()
    new = tmp_path / "best" / "model.keras"
    shutil.move(old, new)
    (one,) = tidy(tmp_path, remove=True)  # what describes something is not removed
    assert (one.belongs_to, one.state) == (str(new), "found")
    (one,) = tidy(tmp_path, pair=True)
    assert (one.belongs_to, one.state) == (str(new), "paired")
    assert intact(new)
    assert tidy(tmp_path) == []
    assert not sidecar.sidecar_path(old).exists()
