"""Keras' own loads of recorded checkpoints are verified first, where that was asked for."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.models import load_model as held_since_before
from run_folders import damage

import kerasguard as kg
from kerasguard.errors import GuardError
from kerasguard.recorder import guarded_load
from kerasguard.storage import sidecar

pytestmark = pytest.mark.keras

X = np.linspace(0, 1, 64, dtype="float32").reshape(16, 4)
NAMES = ("a.keras", "folder", "a.h5", "a.weights.h5", "s.weights.json")
LOADS: dict[str, Callable[[Any, Path], Any]] = {
    "keras.models.load_model": lambda _, f: keras.models.load_model(f / "a.keras"),
    "keras.saving.load_model": lambda _, f: keras.saving.load_model(str(f / "folder")),
    "a function held since before": lambda _, f: held_since_before(f / "a.keras"),
    "load_model of HDF5": lambda _, f: keras.models.load_model(f / "a.h5", compile=False),
    "Model.load_weights": lambda m, f: m.load_weights(f / "a.weights.h5"),
    "load_weights of a model": lambda m, f: m.load_weights(filepath=f / "a.keras"),
    "load_weights of HDF5": lambda m, f: m.load_weights(f / "a.h5"),
    "keras.saving.load_weights": lambda m, f: keras.saving.load_weights(m, f / "a.weights.h5"),
    "shards": lambda m, f: m.load_weights(f / "s.weights.json"),
}


def new_model() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="head")])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


@pytest.fixture(autouse=True)
def _stock_again() -> Iterator[None]:
    yield
    kg.unpatch()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Every form in which Keras saves, recorded."""
    model = new_model()
    with kg.patched():
        for name in ("a.keras", "a.h5"):
            model.save(tmp_path / name)
        model.save(tmp_path / "folder", zipped=False)
        model.save_weights(tmp_path / "a.weights.h5")
        model.save_weights(tmp_path / "s.weights.json", max_shard_size=1)
    return tmp_path


def spoil(folder: Path) -> None:
    """Change the first element of the kernel in each checkpoint, and its time."""
    for name in NAMES:
        manifest = sidecar.read(folder / name)
        assert manifest is not None
        record = next(r for r in manifest.table.tensors.values() if r.spec.shape == (4, 4))
        assert record.extent is not None
        inside = name == "folder"
        path = folder / name / record.extent.file if inside else folder / record.extent.file
        content = bytearray(path.read_bytes())
        content[record.extent.offset] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("way", LOADS)
def test_each_way_to_load_is_verified_once_and_refuses_what_was_damaged(
    saved: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen, check = new_model(), list[Path](), guarded_load.check

    def checked(path: Path) -> Any:
        seen.append(path)
        return check(path)

    monkeypatch.setattr(guarded_load, "check", checked)
    with kg.patched(loads=True):
        LOADS[way](model, saved)
        assert len(seen) == 1
        spoil(saved)
        before = [w.numpy() for w in model.weights]
        with pytest.raises(GuardError, match=r"1 of \d+ tensors differ \(.*head/kernel\).*latest"):
            LOADS[way](model, saved)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.weights, strict=True))
    with kg.patched(), contextlib.suppress(zipfile.BadZipFile):  # the zip file's own CRC
        LOADS[way](model, saved)  # off unless asked for
    assert len(seen) == 2


def test_what_nobody_recorded_is_loaded_as_ever(saved: Path) -> None:
    good = (saved / "a.keras").read_bytes()
    spoil(saved)
    (saved / "a.keras").write_bytes(good)  # Keras itself looks at a zip file's CRC
    for name in NAMES:
        sidecar.place_of(saved / name).unlink()
    with kg.patched(loads=True):
        for load in LOADS.values():
            load(new_model(), saved)
        with pytest.raises(ValueError, match="not found"):
            keras.models.load_model(saved / "missing.keras")
        with pytest.raises(TypeError):
            keras.models.load_model()


def test_a_manifest_that_cannot_be_read_and_a_file_that_was_cut_are_refused(saved: Path) -> None:
    sidecar.place_of(saved / "a.h5").write_text('{"schema"')
    (saved / "a.keras").write_bytes((saved / "a.keras").read_bytes()[:500])
    kg.patch(loads=True)
    for name in ("a.h5", "a.keras"):
        with pytest.raises(GuardError, match=f"{name}: differs from its manifest"):
            keras.models.load_model(saved / name)


def test_unpatch_puts_back_the_very_same_functions() -> None:
    places = [
        (owner, name)
        for owner in (keras.Model, keras.saving, keras.models)
        for name in ("load_model", "load_weights", "save", "save_model", "save_weights")
        if name in vars(owner)
    ]
    stock = [vars(owner)[name] for owner, name in places]
    loads = [vars(owner)[name] for owner, name in places if name.startswith("load")]
    kg.patch()
    assert [vars(o)[n] for o, n in places if n.startswith("load")] == loads
    kg.patch(loads=True)
    assert not {*map(id, stock)} & {id(vars(owner)[name]) for owner, name in places}
    kg.unpatch()
    assert [vars(owner)[name] for owner, name in places] == stock


def train(folder: Path, *, double: bool = False, stop: int = 99) -> Any:
    """Four epochs with a backup, interrupted after `stop`; the epochs that were trained."""

    class Stop(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == stop:
                raise KeyboardInterrupt

    backup = keras.callbacks.BackupAndRestore(folder, double_checkpoint=double)
    record = kg.WeightManifestCallback(log_to_mlflow=False)
    model = new_model()
    model.fit(X, X, epochs=4, batch_size=8, verbose=0, callbacks=[backup, record, Stop()])
    return model.history.epoch


def test_a_training_does_not_resume_from_a_damaged_backup(tmp_path: Path) -> None:
    """With the callback alone; `patch` was never called."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop=1)
    path = tmp_path / "latest.weights.h5"
    good = path.read_bytes()
    damage(path)
    with pytest.raises(GuardError, match=r"latest\.weights\.h5: differs from its manifest"):
        train(tmp_path)
    path.write_bytes(good)
    assert train(tmp_path) == [2, 3]


def test_the_backup_before_takes_the_place_of_a_damaged_one(tmp_path: Path) -> None:
    """Keras copies backups; manifest and companion go with them."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, double=True, stop=2)
    before = tmp_path / "latest.weights.h5.bkp"
    assert kg.verify(before).origin == "recorded"
    assert kg.verify(before).ok
    damage(tmp_path / "latest.weights.h5")
    found = kg.latest(tmp_path)
    assert (found.path, found.initial_epoch) == (before, 2)
    assert json.loads((tmp_path / "training_metadata.json").read_text())["epoch"] == 3
    assert train(tmp_path, double=True) == [2, 3]


class Own(keras.Model):  # type: ignore[misc]
    """Draws by a seed, and has a layer with a state: Keras writes neither into weights."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.out = keras.layers.Dropout(0.5), keras.layers.Dense(4)
        self.memory = keras.layers.GRU(3, stateful=True)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.out(self.memory(self.drop(x, training=training)[:, None]))


class Two(keras.Model):  # type: ignore[misc]
    """Trains by optimizers of its own, and counts in a metric that `fit` does not reset."""

    metrics: Any = ()

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = keras.layers.Dense(4), keras.layers.Dense(4)
        self.by = {"one": keras.optimizers.Adam(0.1), "other": keras.optimizers.Nadam(0.1)}
        self.steps = keras.metrics.Sum()

    def call(self, x: Any) -> Any:
        return self.other(self.one(x))

    def train_step(self, data: Any) -> dict[str, Any]:
        for name, optimizer in self.by.items():
            kernel = getattr(self, name).kernel
            optimizer.apply([kernel.value * self(data[0])[0, 0]], [kernel])
        self.steps.update_state(1.0)
        return {"steps": self.steps.result()}


@pytest.mark.filterwarnings("ignore:Skipping variable loading:UserWarning")  # what Keras loads
@pytest.mark.parametrize("kind", [Own, Two])
def test_a_resumed_training_has_what_keras_does_not_store(
    kind: Callable[[], Any], tmp_path: Path
) -> None:
    class Stop(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1 and not resuming:
                raise KeyboardInterrupt

    def trained(folder: Path, *callbacks: Any) -> list[bytes]:
        keras.utils.set_random_seed(5)
        model = kind()
        model(X[:8])
        model.compile("adam", "mse", run_eagerly=True)
        backup = keras.callbacks.BackupAndRestore(folder)
        record = kg.WeightManifestCallback(log_to_mlflow=False)
        model.fit(
            X[:8], X[:8], epochs=3, batch_size=8, shuffle=False, verbose=0,
            callbacks=[backup, record, *callbacks],
        )  # fmt: skip
        by = (*model.by.values(), model.steps) if kind is Two else (model.optimizer,)
        some = (*model.weights, *(variable for one in by for variable in one.variables))
        return [np.asarray(variable).tobytes() for variable in some]

    resuming, whole = False, trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", Stop())
    resuming = True
    keras.utils.set_random_seed(6)
    assert trained(tmp_path / "cut", Stop()) == whole


def test_a_callback_may_load_into_the_model_that_is_trained(tmp_path: Path) -> None:
    words = keras.ops.convert_to_tensor([["b"], ["a"]])

    class Load(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            kg.load(tmp_path / "m.keras", self.model)

    lookup = keras.layers.StringLookup(output_mode="one_hot")
    lookup.adapt(words)
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with kg.patched():
        model.save(tmp_path / "m.keras")
    model.predict(words, verbose=0)
    model.fit(words, X[:2, :1], callbacks=[Load()], verbose=0)
    assert model.predict(words, verbose=0).shape == (2, 1)
