"""Saves to an address are recorded here and sent; fsspec's and TensorFlow's memory stand for it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.errors import CheckpointError

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def model() -> Any:
    """Trained once; every save of it is the same."""
    import keras

    inputs = keras.Input((4,))
    hidden = keras.layers.Dropout(0.5, seed=3)(keras.layers.Dense(3, name="hidden")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden))
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
    return model


@pytest.fixture(params=["memory", "ram"])
def base(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        store = pytest.importorskip("fsspec").filesystem("memory").store
        store.clear()
    return f"{request.param}://run"


def names(base: str) -> set[str]:
    if base.startswith("ram"):
        import tensorflow as tf

        return set(tf.io.gfile.listdir(base))
    import fsspec

    found = fsspec.filesystem("memory").ls("/run", detail=False)
    return {name.rpartition("/")[2] for name in found}


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "s.weights.json"])
def test_what_is_saved_elsewhere_is_recorded_and_loads_as_it_was(
    base: str, model: Any, name: str
) -> None:
    url = f"{base}/{name}"
    with warnings.catch_warnings(), kg.patched():
        warnings.simplefilter("error", UserWarning)
        if name == "s.weights.json":
            model.save_weights(url, max_shard_size=3e-7)
        else:
            (model.save_weights if "weights" in name else model.save)(url)
    restored = kg.restore(url, manifest="require")
    x = np.ones((2, 4), "float32")
    assert np.array_equal(restored.model(x), model(x))
    assert restored.report.verdict.startswith("restored")
    assert all(outcome.proven for outcome in restored.report.outcomes)


def test_a_second_save_takes_the_companion_of_the_first_away(base: str) -> None:
    import keras

    words = keras.Input((1,), dtype="string")
    found = keras.layers.StringLookup(vocabulary=[f"word {n:04}" for n in range(300)])(words)
    model = keras.Model(words, keras.layers.Embedding(301, 2)(found))
    url = f"{base}/two.weights.h5"
    with kg.patched():
        model.save_weights(url)
        before = {name for name in names(base) if name.startswith("two.weights.h5.companion")}
        model.save_weights(url)
    after = {name for name in names(base) if name.startswith("two.weights.h5.companion")}
    assert len(before) == len(after) == 1
    assert before != after
    assert kg.verify(url).ok


def test_the_callback_records_what_modelcheckpoint_saves_elsewhere(model: Any) -> None:
    import keras

    base = "ram://run"  # Keras makes the folder, by TensorFlow
    model = keras.models.clone_model(model)  # the callback arms it for good
    model.compile("adam", "mse", run_eagerly=True)
    told = []
    saver = keras.callbacks.ModelCheckpoint(f"{base}/{{epoch:02d}}.keras")
    callback = kg.WeightManifestCallback(observers=[lambda event: told.append(event.manifest)])
    model.fit(np.ones((2, 4)), np.ones((2, 2)), 2, 2, verbose=0, callbacks=[saver, callback])
    assert [manifest.training["epoch"] for manifest in told] == [0, 1]
    found = kg.inspect(f"{base}/02.keras")
    assert found.checkpoint_id == told[1].checkpoint_id


def test_what_cannot_be_sent_is_no_save(
    model: Any, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []

    def failing(*_: object) -> None:
        raise OSError("no room")

    if base.startswith("ram"):
        monkeypatch.setattr("kerasguard.models.gfile._Gfile.put", failing)
    else:
        monkeypatch.setattr("kerasguard.storage.fsspec_files.FsspecFiles.put", failing)
    with kg.patched(observers=[told.append]), pytest.raises(CheckpointError, match="not be sent"):
        model.save(f"{base}/lost.keras")
    assert told == []


def test_a_checkpoint_elsewhere_can_be_recorded_afterwards(model: Any) -> None:
    base = "ram://run"  # where Keras itself can save
    model.save(f"{base}/late.keras")
    with pytest.raises(kg.KerasguardError, match="no manifest"):
        kg.load(f"{base}/late.keras", manifest="require")
    manifest = kg.record(f"{base}/late.keras", model)
    assert kg.verify(f"{base}/late.keras").checkpoint_id == manifest.checkpoint_id
    assert kg.load(f"{base}/late.keras", manifest="require").count_params() == model.count_params()
