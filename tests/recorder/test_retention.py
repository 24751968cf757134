"""Old checkpoints are deleted whole, and never one that something would be lost with."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from run_folders import damage, leave

import kerasguard as kg
from kerasguard.recorder import retention
from kerasguard.recorder.retention import Retention, series_of
from kerasguard.storage import removal, sidecar


def save(keeper: Retention, path: Path, epoch: int, **metrics: float) -> None:
    """A recorded save, and what the callback tells of it."""
    leave(path, 1000 + epoch, epoch=epoch, metrics=metrics)
    keeper(SimpleNamespace(path=path, manifest=sidecar.read(path)))


def numbers(folder: Path) -> list[int]:
    """The epochs of which anything is left."""
    return sorted({int(path.name[:2]) for path in folder.iterdir() if path.name[:2].isdigit()})


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", "-tf"])
def test_the_newest_and_the_best_stay_and_nothing_of_the_others_is_left(
    tmp_path: Path, ending: str
) -> None:
    keeper = Retention(2, "val_loss", directions=("min",))
    for epoch, loss in enumerate([5.0, 1.0, 3.0, float("nan"), 1.0, 2.0]):
        save(keeper, tmp_path / f"{epoch:02d}{ending}", epoch, val_loss=loss)
    assert numbers(tmp_path) == [1, 4, 5]  # the first of the best, as Keras has it
    assert all(kg.verify(tmp_path / f"{n:02d}{ending}").ok for n in (1, 4, 5))


def test_where_nobody_knows_which_way_is_better_both_ends_stay(tmp_path: Path) -> None:
    keeper = Retention(1, "odd")
    for epoch, value in enumerate([2.0, 9.0, 1.0, 5.0, 4.0]):
        save(keeper, tmp_path / f"{epoch:02d}.keras", epoch, odd=value)
    assert numbers(tmp_path) == [1, 2, 4]


def test_what_was_changed_or_nobody_recorded_is_never_deleted(tmp_path: Path) -> None:
    keeper = Retention(1, "loss")
    leave(tmp_path / "90.keras", 1, recorded=False)
    for epoch in range(3):
        save(keeper, tmp_path / f"{epoch:02d}.keras", epoch)
        if epoch == 0:
            (tmp_path / "00.keras").write_bytes(b"the user's own by now")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            save(keeper, tmp_path / f"{10 + epoch:02d}.keras", epoch)
        assert ["no longer what was recorded" in str(one.message) for one in told] == [True] * (
            epoch == 0
        )
    assert numbers(tmp_path) == [0, 12, 90]


def test_nothing_is_deleted_while_no_newer_one_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Retention(1, "loss")
    save(keeper, tmp_path / "00.keras", 0)
    path = leave(tmp_path / "01.keras", 1001)
    manifest = sidecar.read(path)
    damage(path)
    with pytest.warns(UserWarning, match="no older one is deleted"):
        keeper(SimpleNamespace(path=path, manifest=manifest))
    assert kg.latest(tmp_path).path.name == "00.keras"
    with pytest.warns(UserWarning, match="01.keras: is no longer what was recorded"):
        save(keeper, tmp_path / "02.keras", 2)
    assert numbers(tmp_path) == [1, 2]  # the damaged one is no longer as it was recorded


def test_what_is_not_in_mlflow_yet_stays_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away: set[str] = set()
    monkeypatch.setattr(retention, "_waiting", lambda: away)
    keeper = Retention(1, "loss", logged=True)
    for epoch in range(4):
        path = leave(tmp_path / f"{epoch:02d}.keras", epoch)
        manifest = sidecar.read(path)
        assert manifest is not None
        if epoch in (0, 1):
            away.add(manifest.checkpoint_id)
        keeper(SimpleNamespace(path=path, manifest=manifest))
    assert numbers(tmp_path) == [0, 1, 3]
    away.clear()
    keeper.finish()
    assert numbers(tmp_path) == [3]


def test_a_training_that_goes_on_counts_what_it_saved_before(tmp_path: Path) -> None:
    for epoch in range(4):
        leave(tmp_path / f"{epoch:02d}.keras", epoch, epoch=epoch, metrics={"loss": 4.0 - epoch})
    leave(tmp_path / "other-run.keras", 1, epoch=0)
    fresh = Retention(2, "loss", directions=("min",))
    fresh.begin_epoch(0)
    save(fresh, tmp_path / "20.keras", 0)
    assert numbers(tmp_path) == [0, 1, 2, 3, 20]  # of another run, for all that is known
    keeper = Retention(2, "loss", directions=("min",))
    keeper.begin_epoch(4)
    save(keeper, tmp_path / "04.keras", 4, loss=9.0)
    assert numbers(tmp_path) == [3, 4]  # and 20, which tells the epoch 0, is this run's as well
    assert (tmp_path / "other-run.keras").exists()


def test_series_are_told_apart_by_all_but_numbers() -> None:
    same = ["r/01-0.50.keras", "r/12--1.25.keras", "r/3-nan.keras", "r/07-1e-05.keras"]
    assert len({series_of(Path(name)) for name in same}) == 1
    others = ["r/01-0.50.h5", "r/latest.weights.h5", "q/01-0.50.keras"]
    assert len({series_of(Path(name)) for name in (*same, *others)}) == 4


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_it_is_plain_data(tmp_path: Path, again: Callable[[Retention], Retention]) -> None:
    keeper = Retention(2, "loss")
    for epoch in range(3):
        save(keeper, tmp_path / f"{epoch:02d}.keras", epoch)
        keeper = again(keeper)
    assert numbers(tmp_path) == [1, 2]


def test_a_link_is_not_deleted_nor_what_another_save_put_there(tmp_path: Path) -> None:
    path = leave(tmp_path / "00.keras", 1)
    manifest = sidecar.read(path)
    assert manifest is not None
    assert not removal.remove(path, "another")
    link = tmp_path / "link.keras"
    link.symlink_to(path)
    assert not removal.remove(link, manifest.checkpoint_id)
    assert removal.remove(path, manifest.checkpoint_id)
    assert [one.name for one in tmp_path.iterdir()] == ["link.keras"]


@pytest.mark.keras
def test_every_form_that_keras_writes_is_deleted_as_a_whole(tmp_path: Path) -> None:
    import keras

    wide = [keras.layers.Dense(32) for _ in range(3)]
    model = keras.Sequential([keras.Input((32,)), *wide, keras.layers.Dropout(0.5)])
    saves = {
        "a.keras": model.save,
        "folder": lambda path: model.save(path, zipped=False),
        "b.h5": model.save,
        "c.weights.json": lambda path: model.save_weights(path, max_shard_size=6e-6),
    }
    with kg.patched(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras on .h5
        for name, write in saves.items():
            for _ in range(2):  # the second save gives the shards other names
                write(tmp_path / name)
            manifest = sidecar.read(tmp_path / name)
            assert manifest is not None
            (tmp_path / "mine.txt").write_text("stays")
            if name == "folder":
                (tmp_path / name / "mine.txt").write_text("stays")
                assert not removal.remove(tmp_path / name, manifest.checkpoint_id)
                (tmp_path / name / "mine.txt").unlink()
            assert removal.remove(tmp_path / name, manifest.checkpoint_id)
            assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.keras
def test_the_callback_keeps_the_best_by_a_metric_that_knows_its_direction(tmp_path: Path) -> None:
    import keras

    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    seen: dict[int, float] = {}

    class Worse(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen[epoch + 1] = logs["accuracy"] = [0.1, 0.9, 0.3, 0.2, 0.1][epoch]

    model.fit(
        x, (x[:, 0] > 0).astype(int), epochs=5, verbose=0,
        callbacks=[
            Worse(),
            kg.WeightManifestCallback(
                tmp_path / "{epoch:02d}.keras", keep=1, monitor="accuracy", log_to_mlflow=False
            ),
        ],
    )  # fmt: skip
    kg.unpatch()
    assert numbers(tmp_path) == [2, 5]


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("kills", [40])
def test_a_kill_at_any_moment_leaves_one_that_verifies(kills: int) -> None:
    done = subprocess.run(
        [sys.executable, __file__, str(kills)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    count = json.loads(done.stdout.splitlines()[-1])
    assert count["kills"] == kills
    assert count["lost"] == 0
    assert count["most"] <= 3 + 1 + 2  # kept, the one before it is deleted, half deleted ones


def main(kills: int) -> None:
    """Save epoch after epoch in a child, kill it, and look at what is left; again and again."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import keras

    count = {"kills": 0, "lost": 0, "least": 99, "most": 0, "left_over": 0}
    chance = random.Random(0)
    middle = [keras.layers.Dense(64), keras.layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((64,)), *middle])
    with tempfile.TemporaryDirectory() as name:
        folder, epoch = Path(name), 0
        while count["kills"] < kills:
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reader)
                train(model, folder, epoch, writer)
                os._exit(1)
            os.close(writer)
            os.read(reader, 4)
            time.sleep(chance.uniform(0, 0.12))
            if count["kills"] % 2:  # as soon as something is deleted, which takes no time
                before = set(folder.glob("*.keras"))
                end = time.monotonic() + 5
                while before <= set(folder.glob("*.keras")) and time.monotonic() < end:
                    pass
                time.sleep(chance.uniform(0, 0.001))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reader)
            count["kills"] += 1
            good = [p for p in folder.glob("*.keras") if kg.verify(p).origin == "recorded"]
            good = [p for p in good if kg.verify(p).ok]
            manifests = [p.name[:-14] for p in folder.glob("*.manifest.json")]
            count["left_over"] += sum(not (folder / n).exists() for n in manifests)
            count["lost"] += not good
            count["least"] = min(count["least"], len(good))
            count["most"] = max(count["most"], len(list(folder.glob("*.keras"))))
            epoch = 1 + max((int(p.name[:5]) for p in folder.glob("*.keras")), default=-1)
    print(json.dumps(count))


def train(model: Any, folder: Path, epoch: int, told: int) -> None:
    """What `fit` does with callbacks, without what a forked process has no threads for."""
    callback = kg.WeightManifestCallback(
        folder / "{epoch:05d}.keras", keep=3, monitor="loss", mode="min", log_to_mlflow=False
    )
    callback.set_model(model)
    callback.on_train_begin()
    for number in range(epoch - 1, 99_999):
        callback.on_epoch_begin(number)
        callback.on_epoch_end(number, {"loss": 1000.0 - number})
        if number == epoch - 1:  # there is one to lose
            os.write(told, b"save")


if __name__ == "__main__":
    main(int(sys.argv[1]))
