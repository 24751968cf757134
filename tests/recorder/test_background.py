"""Training goes on while a save is on its way, and the save is of the moment it was asked for."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

import kerasguard as kg  # noqa: E402
from kerasguard.recorder import patched_save  # noqa: E402

X, Y = np.ones((8, 5), "float32"), np.ones((8, 3), "float32")


def net(*extra: Any) -> Any:
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), *extra]
    model = keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    return model


def values(model: Any) -> list[Any]:
    return [np.array(v) for v in (*model.variables, *model.optimizer.variables)]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Keras writes once the event is set."""
    event = threading.Event()
    write = patched_save._Save.write

    def waiting(self: Any, path: Path) -> Any:
        assert event.wait(60)
        return write(self, path)

    monkeypatch.setattr(patched_save._Save, "write", waiting)
    yield event
    event.set()


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_what_is_saved_is_what_the_model_held_when_it_was_asked_to(
    suffix: str, gate: threading.Event, tmp_path: Path
) -> None:
    model, path = net(), tmp_path / f"m{suffix}"
    with kg.patched(strict=True, log_to_mlflow=False, background=True):
        (model.save if suffix == ".keras" else model.save_weights)(path)
        before = values(model)
        model.fit(X, Y, verbose=0)
        model.optimizer.learning_rate = 0.5
        assert not path.exists()
        gate.set()
    assert kg.verify(path).ok
    other = net()
    kg.load(path, other, learning_rate="stored")
    assert all(map(np.array_equal, values(other), before))
    assert not all(map(np.array_equal, values(model), before))
    if suffix == ".keras":
        assert kg.load(path).optimizer.get_config()["learning_rate"] == pytest.approx(0.1)


def test_fit_goes_on_and_its_end_waits(gate: threading.Event, tmp_path: Path) -> None:
    seen: list[bool] = []

    class Look(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append((tmp_path / "01.keras").exists())
            gate.set()

    recorder = kg.WeightManifestCallback(
        tmp_path / "{epoch:02d}.keras", strict=True, log_to_mlflow=False, background=True
    )
    net().fit(X, Y, epochs=3, verbose=0, callbacks=[recorder, Look()])
    assert not seen[0]
    for epoch in range(3):
        path = tmp_path / f"{epoch + 1:02d}.keras"
        report = kg.verify(path)
        assert (report.ok, report.origin) == (True, "recorded")
        assert kg.inspect(path).training["epoch"] == epoch


def test_saves_do_not_overtake_each_other(tmp_path: Path) -> None:
    model, path = net(), tmp_path / "m.keras"
    with kg.patched(strict=True, log_to_mlflow=False, background=True):
        for _ in range(3):
            model.fit(X, Y, verbose=0)
            model.save(path)
    other = net()
    kg.load(path, other, learning_rate="stored")
    assert all(map(np.array_equal, values(other), values(model)))


@pytest.mark.parametrize("end", ["next save", "block"])
def test_what_a_save_raises_is_raised_by_who_waits_for_it(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no space left")

    model, path = net(), tmp_path / "m.keras"
    with kg.patched(log_to_mlflow=False):
        model.save(path)
    before = path.read_bytes()

    def saves() -> None:
        with kg.patched(log_to_mlflow=False, background=True):
            with monkeypatch.context() as broken:
                broken.setattr(patched_save._Save, "write", fail)
                model.save(path)
                _wait_until_done()
            if end == "next save":
                model.save(tmp_path / "other.keras")
                pytest.fail("the first save's error did not come")

    with pytest.raises(OSError, match="no space left"):
        saves()
    assert path.read_bytes() == before
    assert kg.verify(path).ok


def _wait_until_done() -> None:
    from kerasguard.recorder import patching

    (context,) = patching._state.scopes
    assert context.background is not None
    assert context.background._pending is not None
    context.background._pending[0].exception(60)


def test_an_observer_is_told_in_the_training_thread(tmp_path: Path) -> None:
    told: list[Any] = []
    model = net()
    with kg.patched(strict=True, log_to_mlflow=False, background=True):
        from kerasguard.recorder import patching

        patching._state.scopes[0].observers = (
            lambda recorded: told.append((recorded.path.name, threading.current_thread())),
        )
        model.save(tmp_path / "m.keras")
    assert told == [("m.keras", threading.main_thread())]


class Own(keras.layers.Dense):  # type: ignore[misc,name-defined]
    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)


def test_what_only_the_training_thread_can_save_is_saved_there(tmp_path: Path) -> None:
    model = net(Own(8))
    with kg.patched(strict=True, log_to_mlflow=False, background=True):
        with pytest.warns(UserWarning, match="is saved while training waits, because Own"):
            model.save(tmp_path / "a.keras")
        assert kg.verify(tmp_path / "a.keras").ok
        model.save(tmp_path / "b.keras")  # and said once
        assert kg.verify(tmp_path / "b.keras").ok


@pytest.mark.slow
def test_a_killed_process_leaves_the_pair_of_before(tmp_path: Path) -> None:
    program = f"""
import os, time, keras, numpy as np, kerasguard as kg
from kerasguard.recorder import patched_save
model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
with kg.patched(strict=True, log_to_mlflow=False, background=True):
    model.save({str(tmp_path / "m.keras")!r})
write = patched_save._Save.write
def slow(self, path):
    write(self, path)
    print("written", flush=True)
    time.sleep(60)
patched_save._Save.write = slow
with kg.patched(strict=True, log_to_mlflow=False, background=True):
    model.save({str(tmp_path / "m.keras")!r})
    print("training goes on", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        lines = {child.stdout.readline().strip() for _ in range(2)}
        child.kill()
    assert lines == {"training goes on", "written"}
    report = kg.verify(tmp_path / "m.keras")
    assert (report.ok, report.origin) == (True, "recorded")
