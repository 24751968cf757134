from __future__ import annotations

import copy
import gc
import inspect
import json
import logging
import pickle
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

import kerasguard as kg
from kerasguard.callbacks import WeightManifestCallback
from kerasguard.manifest import Manifest
from kerasguard.models.kerases.workers import leads
from kerasguard.storage import sidecar

pytestmark = pytest.mark.keras

STOCK = keras.Model.save
X = np.linspace(0, 1, 64, dtype="float32").reshape(16, 4)
Y = X.sum(axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _stock_again() -> Iterator[None]:
    yield
    kg.unpatch()


def new_model() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="head")])
    model.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    return model


def fit(model: keras.Model, *callbacks: Any, epochs: int = 2, **options: Any) -> Any:
    settings = {"batch_size": 4, "verbose": 0, "validation_split": 0.5, **options}
    return model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), **settings)


def manifest_of(path: Path) -> Manifest:
    manifest = sidecar.read(path)
    assert manifest is not None, f"{path.name} was not recorded"
    assert sidecar.describes(manifest, path)
    return manifest


def checkpoints(folder: Path, name: str = "{epoch}.keras", **options: Any) -> Any:
    return keras.callbacks.ModelCheckpoint(folder / name, **options)


@pytest.mark.parametrize("order", ["before", "after"])
def test_every_checkpoint_is_bound_to_its_epoch_in_either_order(tmp_path: Path, order: str) -> None:
    pair = [WeightManifestCallback(), checkpoints(tmp_path)]
    history = fit(new_model(), *(pair if order == "before" else reversed(pair))).history
    for epoch in (0, 1):
        training = manifest_of(tmp_path / f"{epoch + 1}.keras").training
        assert training["epoch"] == epoch
        assert training["step"] == 2 * (epoch + 1) - 1
        assert training["metrics"] == {name: values[epoch] for name, values in history.items()}


def test_checkpoints_within_an_epoch_tell_epoch_and_step(tmp_path: Path) -> None:
    fit(
        new_model(),
        WeightManifestCallback(),
        checkpoints(tmp_path, "{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=1),
    )
    told = {path.name: manifest_of(path).training for path in sorted(tmp_path.glob("*.weights.h5"))}
    assert {name: (t["epoch"], t["step"]) for name, t in told.items()} == {
        "1-1.weights.h5": (0, 0),
        "1-2.weights.h5": (0, 1),
        "2-1.weights.h5": (1, 2),
        "2-2.weights.h5": (1, 3),
    }
    assert all("loss" in t["metrics"] for t in told.values())
    assert not any("val_loss" in t["metrics"] for t in told.values())


def test_an_initial_epoch_counts(tmp_path: Path) -> None:
    fit(new_model(), WeightManifestCallback(), checkpoints(tmp_path), initial_epoch=5, epochs=6)
    assert manifest_of(tmp_path / "6.keras").training["epoch"] == 5


def test_what_is_saved_after_the_training_is_recorded_with_its_last_epoch(tmp_path: Path) -> None:
    model = new_model()
    fit(model, WeightManifestCallback(), checkpoints(tmp_path))
    model.evaluate(X, Y, verbose=0)
    model.save(tmp_path / "final.keras")
    assert manifest_of(tmp_path / "final.keras").training["epoch"] == 1
    keras.saving.save_model(model, tmp_path / "again.keras")
    manifest_of(tmp_path / "again.keras")


def test_a_second_training_starts_anew(tmp_path: Path) -> None:
    model, callback = new_model(), WeightManifestCallback()
    fit(model, callback, checkpoints(tmp_path, "a{epoch}.keras"), epochs=3)
    fit(model, callback, checkpoints(tmp_path, "b{epoch}.keras"), epochs=1)
    assert manifest_of(tmp_path / "b1.keras").training["epoch"] == 0
    assert manifest_of(tmp_path / "b1.keras").training["step"] == 7


def test_other_models_are_left_alone(tmp_path: Path) -> None:
    other = new_model()

    class SavesAnother(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            other.save(tmp_path / "other.keras")

    fit(new_model(), WeightManifestCallback(), SavesAnother(), checkpoints(tmp_path))
    assert sidecar.read(tmp_path / "other.keras") is None
    manifest_of(tmp_path / "2.keras")


def test_a_filepath_saves_like_model_checkpoint(tmp_path: Path) -> None:
    callback = WeightManifestCallback(tmp_path / "run" / "{epoch:02d}-{val_loss:.2f}.keras")
    history = fit(new_model(), callback).history
    for epoch, loss in enumerate(history["val_loss"]):
        path = tmp_path / "run" / f"{epoch + 1:02d}-{loss:.2f}.keras"
        assert manifest_of(path).training["epoch"] == epoch


def test_a_filepath_saves_weights_only_or_the_best_only(tmp_path: Path) -> None:
    fit(new_model(), WeightManifestCallback(tmp_path / "w.weights.h5", save_weights_only=True))
    assert manifest_of(tmp_path / "w.weights.h5").format == "weights_h5"
    best = WeightManifestCallback(
        tmp_path / "best{epoch}.keras", monitor="loss", mode="max", save_best_only=True
    )
    fit(new_model(), best, epochs=3)
    assert [path.name for path in sorted(tmp_path.glob("best*.keras"))] == ["best1.keras"]


def test_a_filepath_saves_every_few_batches(tmp_path: Path) -> None:
    fit(new_model(), WeightManifestCallback(tmp_path / "{epoch}-{batch}.keras", save_freq=2))
    assert manifest_of(tmp_path / "2-2.keras").training["step"] == 3


def test_a_filepath_that_keras_refuses_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"must end in `\.keras`"):
        WeightManifestCallback("run.txt").set_model(new_model())


def test_if_nothing_was_saved_it_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, callback = new_model(), WeightManifestCallback()
    with caplog.at_level(logging.WARNING, "kerasguard"):
        fit(model, callback, epochs=3)
    assert [record.message for record in caplog.records if "nothing was saved" in record.message]
    assert len(caplog.records) == 1
    caplog.clear()
    fit(model, callback, checkpoints(tmp_path))
    assert not caplog.records


def test_a_copied_callback_records_as_the_original_would(tmp_path: Path) -> None:
    original = WeightManifestCallback(tmp_path / "own.keras")
    copied = copy.deepcopy(original)
    fit(new_model(), copied, checkpoints(tmp_path))
    manifest_of(tmp_path / "own.keras")
    manifest_of(tmp_path / "2.keras")
    assert original._recording.saves == 0
    again = pickle.loads(pickle.dumps(original))
    fit(new_model(), again, epochs=1)
    assert again._recording.saves == 1


def test_a_copy_made_after_a_training_is_independent(tmp_path: Path) -> None:
    callback = WeightManifestCallback()
    fit(new_model(), callback, checkpoints(tmp_path))
    callback._model = None  # which not every Keras can copy
    copied = copy.deepcopy(callback)
    fit(new_model(), copied, checkpoints(tmp_path, "copy{epoch}.keras"), epochs=1)
    assert manifest_of(tmp_path / "copy1.keras").training["epoch"] == 0
    assert callback._recording.training["epoch"] == 1


def test_a_training_that_raises_leaves_nothing_behind() -> None:
    class Fails(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise RuntimeError("out of memory")

    def attempt() -> tuple[Any, Any]:
        model, callback = new_model(), WeightManifestCallback()
        try:
            fit(model, callback, Fails())
        except RuntimeError as error:
            assert str(error) == "out of memory"  # noqa: PT017  # its traceback must die here
        return weakref.ref(model), weakref.ref(callback)

    model, callback = attempt()
    keras.backend.clear_session()
    gc.collect()
    assert model() is None
    assert callback() is None
    assert keras.Model.save is STOCK


def test_the_wrappers_go_with_the_last_armed_model() -> None:
    model = new_model()
    fit(model, WeightManifestCallback(), epochs=1)
    assert keras.Model.save is not STOCK
    del model
    keras.backend.clear_session()
    gc.collect()
    assert keras.Model.save is STOCK


@pytest.mark.skipif(
    "double_checkpoint" not in inspect.signature(keras.callbacks.BackupAndRestore).parameters,
    reason="this Keras keeps no copy",
)
def test_backup_and_restore_still_restores_also_from_its_copy(tmp_path: Path) -> None:
    class Interrupts(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise InterruptedError

    def backup() -> Any:
        return keras.callbacks.BackupAndRestore(tmp_path / "backup", double_checkpoint=True)

    model = new_model()
    with pytest.raises(InterruptedError):
        fit(model, WeightManifestCallback(), backup(), Interrupts(), epochs=4)
    latest = tmp_path / "backup" / "latest.weights.h5"
    assert manifest_of(latest).training["epoch"] == 1
    latest.write_bytes(b"a crash of the disk")  # restored from the copy; the sidecar is stale now
    model = new_model()
    started = []
    counts = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: started.append(epoch))
    fit(model, WeightManifestCallback(), backup(), counts, epochs=4)
    assert started == [1, 2, 3]
    assert not (tmp_path / "backup").exists()


def test_recording_failures_do_not_end_a_training_unless_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kerasguard.recorder import recording

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("kerasguard has a bad day")

    monkeypatch.setattr(recording, "save", fail)
    with pytest.warns(UserWarning, match="saved, but not recorded"):
        fit(new_model(), WeightManifestCallback(), checkpoints(tmp_path), epochs=1)
    assert (tmp_path / "1.keras").exists()
    with pytest.raises(RuntimeError, match="bad day"):
        fit(new_model(), WeightManifestCallback(strict=True), checkpoints(tmp_path), epochs=1)


def cluster(kind: str, number: int, **jobs: list[str]) -> Any:
    resolver = SimpleNamespace(
        task_type=kind, task_id=number, cluster_spec=lambda: SimpleNamespace(as_dict=lambda: jobs)
    )
    return SimpleNamespace(cluster_resolver=resolver)


@pytest.mark.parametrize(
    ("strategy", "chief"),
    [
        (None, True),
        (SimpleNamespace(cluster_resolver=None), True),
        (cluster("", 0), True),
        (cluster("worker", 0, worker=["a", "b"]), True),
        (cluster("worker", 1, worker=["a", "b"]), False),
        (cluster("worker", 0, chief=["c"], worker=["a"]), False),
        (cluster("chief", 0, chief=["c"], worker=["a"]), True),
        (cluster("evaluator", 0, chief=["c"], evaluator=["e"]), False),
    ],
)
def test_one_worker_is_the_chief(strategy: Any, chief: bool) -> None:
    assert leads(strategy) is chief


def test_only_the_chief_saves_to_the_filepath(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kerasguard.callbacks.is_chief", lambda _: False)
    fit(new_model(), WeightManifestCallback(tmp_path / "own.keras"), checkpoints(tmp_path))
    assert not (tmp_path / "own.keras").exists()
    manifest_of(tmp_path / "2.keras")


def test_keras_need_not_wait_for_every_batch_unless_one_may_be_saved(tmp_path: Path) -> None:
    assert WeightManifestCallback().async_safe
    assert WeightManifestCallback(tmp_path / "m.keras").async_safe
    assert not WeightManifestCallback(tmp_path / "m.keras", save_freq=1).async_safe


def test_batches_told_out_of_order_leave_the_latest_metrics() -> None:
    callback = WeightManifestCallback()
    callback.on_epoch_begin(4)
    callback.on_train_batch_end(1, {"loss": 1.0})
    callback.on_train_batch_end(0, {"loss": 2.0})
    assert callback._recording.training == {"epoch": 4, "metrics": {"loss": 1.0}}


def test_manifests_are_json_with_plain_numbers(tmp_path: Path) -> None:
    fit(new_model(), WeightManifestCallback(), checkpoints(tmp_path), epochs=1)
    data = json.loads(sidecar.sidecar_path(tmp_path / "1.keras").read_text())
    assert {type(value) for value in data["training"]["metrics"].values()} == {float}
