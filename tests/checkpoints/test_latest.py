"""The newest checkpoint that verifies, and at which epoch training goes on."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from run_folders import damage, describe, leave, set_time

import kerasguard as kg
from kerasguard.checkpoints import inspect
from kerasguard.checkpoints.latest import Latest
from kerasguard.errors import (
    ArgumentError,
    CheckpointError,
    CheckpointNotFoundError,
    ManifestMissingError,
)
from kerasguard.storage.opened_file import OpenedFile

NAMES: tuple[Callable[[int], str], ...] = (
    lambda n: f"{n:03d}.keras",
    lambda n: f"{n:03d}-{1 / n:.2f}.weights.h5",
    lambda n: f"deep/er/ckpt-{n}",
)


def passed(found: Latest) -> list[str]:
    return [Path(one.path).name for one in found.passed_over]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_200_checkpoints_good_and_bad_the_newest_good_one_is_found(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    good, bad = "", list[str]()
    for number in range(1, 201):
        path = tmp_path / chance.choice(NAMES)(number)
        # The last ones are all bad, or there would be little to pass over.
        kind = chance.choice(("good", "damaged", "half", "unrecorded", "foreign", "stale"))
        kind = kind if number < 185 or kind != "good" else "damaged"
        if kind == "foreign":
            path = path.with_suffix(".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("notes")
            os.utime(path, (number, number))
            continue
        leave(path, number, recorded=kind != "unrecorded", epoch=number - 1)
        file = path if path.is_file() else path.with_name(f"{path.name}.data-00000-of-00001")
        if kind == "damaged":
            damage(file)
        elif kind == "half":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        elif kind == "stale":  # a manifest of another checkpoint
            other = leave(tmp_path / "other" / path.name, 0)
            shutil.copy(f"{other}.manifest.json", f"{path}.manifest.json")
            shutil.rmtree(tmp_path / "other")
        set_time(path, number)
        if kind == "good":
            good, bad = str(path), []
        else:
            bad.append(path.name)
    found = kg.latest(tmp_path)
    assert str(found.path) == good
    assert passed(found) == bad[::-1]
    assert all(one.why for one in found.passed_over)
    assert found.initial_epoch == int("".join(filter(str.isdigit, found.path.name))[:3])


def test_only_what_is_newer_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 31):
        leave(tmp_path / f"{number:02d}.weights.h5", number)
    damage(tmp_path / "30.weights.h5")
    looked, verify = list[str](), inspect.verify

    def noted(path: Path) -> Any:
        looked.append(Path(path).name)
        return verify(path)

    monkeypatch.setattr(inspect, "verify", noted)
    assert kg.latest(tmp_path).path.name == "29.weights.h5"
    assert looked == ["30.weights.h5", "29.weights.h5"]


def test_of_what_nobody_recorded_no_more_than_the_header_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {"head/kernel": np.ones(1 << 20, "float32")}
    for number in range(1, 6):
        path = tmp_path / f"{number}.safetensors"
        safetensors.numpy.save_file(arrays, path)
        set_time(path, number)
    kg.record(tmp_path / "1.safetensors")
    set_time(tmp_path / "1.safetensors", 1)
    read, pread = list[int](), OpenedFile.pread

    def counted(file: OpenedFile, offset: int, length: int) -> bytes:
        read.append(length)
        return pread(file, offset, length)

    monkeypatch.setattr(OpenedFile, "pread", counted)
    monkeypatch.setattr(inspect, "inspect", None)
    found = kg.latest(tmp_path)
    assert (found.path.name, len(found.passed_over)) == ("1.safetensors", 4)
    assert {one.state for one in found.passed_over} == {"unrecorded"}
    assert sum(read) < 2 * arrays["head/kernel"].nbytes


def test_what_nobody_recorded_is_taken_only_when_asked_for(tmp_path: Path) -> None:
    leave(tmp_path / "01.keras", 1, epoch=0)
    leave(tmp_path / "02.keras", 2, recorded=False)
    (tmp_path / "03.keras").write_bytes((tmp_path / "02.keras").read_bytes()[:900])
    found = kg.latest(tmp_path)
    assert (found.path.name, found.recorded) == ("01.keras", True)
    assert [one.state for one in found.passed_over] == ["unreadable", "unrecorded"]
    found = kg.latest(tmp_path, unrecorded=True)
    assert (found.path.name, found.recorded, found.initial_epoch) == ("02.keras", False, 2)
    assert passed(found) == ["03.keras"]


def test_files_of_one_time_go_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    """As in a folder that was copied without its times."""
    for number in (9, 10, 8):
        leave(tmp_path / f"w{number}.weights.h5", 5)
    assert kg.latest(tmp_path).path.name == "w10.weights.h5"


def test_a_folder_of_nothing_good_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="no such folder"):
        kg.latest(tmp_path / "nothing")
    with pytest.raises(CheckpointNotFoundError, match="there is no checkpoint"):
        kg.latest(tmp_path)
    leave(tmp_path / "01.keras", 1, recorded=False)
    with pytest.raises(ManifestMissingError, match=r"has a manifest[^\0]*--unrecorded[^\0]*01\."):
        kg.latest(tmp_path)
    damage(leave(tmp_path / "02.weights.h5", 2))
    with pytest.raises(
        CheckpointError, match=r"none of its 2 checkpoints[^\0]*KG30[^\0]*it has no manifest"
    ):
        kg.latest(tmp_path)
    with pytest.raises(ArgumentError, match="unrecorded=1"):
        kg.latest(tmp_path, unrecorded=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "newest", "epoch"),
    [
        (["07.keras"], "07.keras", 7),
        (["net-epoch-3.weights.h5"], "net-epoch-3.weights.h5", 3),
        (["Epoch=12-step=480.keras"], "Epoch=12-step=480.keras", 12),
        (["resnet50-1.keras", "resnet50-2.keras"], "resnet50-2.keras", 2),
        (["w-0.keras", "w-1.keras"], "w-1.keras", 2),
        (["e/01-0.50.keras", "e/02-0.25.keras"], "02-0.25.keras", 2),
        (["model_v2.keras"], "model_v2.keras", None),
        (["model_v2.keras", "model_v3.keras"], "model_v3.keras", None),
        (["w-1-10.keras", "w-2-20.keras"], "w-2-20.keras", None),
        (["step-100.keras", "step-200.keras"], "step-200.keras", None),
        (["best.keras"], "best.keras", None),
        (["ckpt-3", "ckpt-4"], "ckpt-4", None),
    ],
)
def test_a_name_tells_the_epoch_only_where_one_number_can_be_meant(
    names: list[str], newest: str, epoch: int | None, tmp_path: Path
) -> None:
    for when, name in enumerate(names, 1):
        leave(tmp_path / name, when)
    found = kg.latest(tmp_path)
    assert (found.path.name, found.initial_epoch) == (newest, epoch)
    assert found.told_by.startswith("name:" if epoch else "neither")


def test_the_manifest_is_asked_before_the_name(tmp_path: Path) -> None:
    path = leave(tmp_path / "07.keras", 1, epoch=2, complete=True)
    assert (kg.latest(tmp_path).initial_epoch, kg.latest(tmp_path).told_by[:8]) == (3, "manifest")
    describe(path, epoch=2, complete=False)
    found = kg.latest(tmp_path)
    assert (found.initial_epoch, "starts over" in found.told_by) == (2, True)


def test_a_backup_takes_the_epoch_of_its_own_metadata(tmp_path: Path) -> None:
    leave(tmp_path / "latest.weights.h5", 1)
    assert kg.latest(tmp_path).initial_epoch is None
    (tmp_path / "training_metadata.json").write_text(json.dumps({"epoch": 4, "batch": 0}))
    found = kg.latest(tmp_path)
    assert (found.initial_epoch, found.told_by) == (4, "training_metadata.json of BackupAndRestore")
    (tmp_path / "training_metadata.json").write_text('{"epoch": 4')
    assert kg.latest(tmp_path).initial_epoch is None


@pytest.mark.keras
def test_training_goes_on_where_callbacks_left_it(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    x = np.linspace(0, 1, 64, dtype="float32").reshape(16, 4)

    class Killed(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            if self.model.optimizer.iterations.numpy() == 10:
                raise KeyboardInterrupt

    def train(model: object, *callbacks: object, **options: object) -> object:
        saves = [
            kg.WeightManifestCallback(log_to_mlflow=False),
            keras.callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}.keras"),
            keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=3),
        ]
        options = {"batch_size": 4, "verbose": 0, **options}
        return model.fit(x, x[:, :1], callbacks=[*saves, *callbacks], **options)  # type: ignore[attr-defined]

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", run_eagerly=True)
    with pytest.raises(KeyboardInterrupt):
        train(model, Killed(), epochs=5)
    found = kg.latest(tmp_path)
    assert found.path == tmp_path / "backup" / "latest.weights.h5"
    assert (found.initial_epoch, found.manifest.training["step"]) == (2, 8)  # type: ignore[union-attr]
    damage(found.path)
    found = kg.latest(tmp_path)
    assert (found.path.name, found.initial_epoch, passed(found)) == (
        "02.keras", 2, ["latest.weights.h5"],
    )  # fmt: skip
    shutil.rmtree(tmp_path / "backup")
    history = train(kg.load(found), epochs=5, initial_epoch=found.initial_epoch)
    assert history.epoch == [2, 3, 4]  # type: ignore[attr-defined]
    kg.unpatch()
