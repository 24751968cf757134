"""What is recorded is what the model held, or the save fails and the old pair stays."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard import guard
from kerasguard.errors import BadWriteError

pytestmark = pytest.mark.keras

KINDS = ["m.weights.h5", "m.keras", "m.h5", "m"]


@pytest.fixture
def model() -> Any:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="head")])
    model.compile("adam", "mse")
    model.get_layer("head").bias.assign(np.arange(1.0, 5.0))
    return model


class Disk:
    """A save to a disk that loses a tensor, as often as it is told to."""

    def __init__(self, model: Any, name: str, bad: int) -> None:
        self.model, self.name, self.bad = model, name, bad
        self.saves = 0

    def __call__(self, path: Path) -> None:
        self.saves += 1
        if self.name.endswith(".weights.h5"):
            self.model.save_weights(path)
        elif self.name == "m":
            from keras.src.saving import saving_lib

            path.mkdir(exist_ok=True)
            took = inspect.signature(saving_lib._save_model_to_dir).parameters
            saving_lib._save_model_to_dir(self.model, path, *(["h5"] if len(took) > 2 else []))
            path = path / "model.weights.h5"
        else:
            self.model.save(path)
        if self.bad > 0:
            self.bad -= 1
            bias = np.asarray(self.model.get_layer("head").bias).tobytes()
            content = path.read_bytes()
            assert bias in content
            path.write_bytes(content.replace(bias, bytes(len(bias))))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", KINDS)
def test_a_write_that_went_wrong_once_is_done_again(tmp_path: Path, model: Any, name: str) -> None:
    disk = Disk(model, name, bad=1)
    guard.save(disk, tmp_path / name, model)
    assert disk.saves == 2
    assert kg.verify(tmp_path / name).ok
    manifest = kg.inspect(tmp_path / name)
    assert manifest.checkpoint_id
    assert not any(r.digest == digest_of(np.zeros(4)) for r in weights(manifest))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", KINDS)
def test_a_write_that_keeps_going_wrong_is_an_error_and_the_old_pair_stays(
    tmp_path: Path, model: Any, name: str
) -> None:
    guard.save(Disk(model, name, bad=0), tmp_path / name, model)
    before = kg.inspect(tmp_path / name)
    model.get_layer("head").bias.assign(np.arange(5.0, 9.0))
    with pytest.raises(BadWriteError, match=rf"{name}: .*(head/bias|cannot be read back)"):
        guard.save(Disk(model, name, bad=9), tmp_path / name, model)
    assert kg.inspect(tmp_path / name) == before
    report = kg.verify(tmp_path / name)
    assert report.ok
    assert report.origin == "recorded"


def test_a_model_that_changes_while_it_is_saved_is_saved_and_not_recorded(
    tmp_path: Path, model: Any
) -> None:
    def write(path: Path) -> None:
        model.save_weights(path)
        bias = model.get_layer("head").bias
        bias.assign(bias + 1.0)

    with pytest.warns(UserWarning, match="saved, but not recorded: the model changes while"):
        guard.save(write, tmp_path / "m.weights.h5", model)
    assert kg.verify(tmp_path / "m.weights.h5").origin != "recorded"


def test_a_patched_save_raises_what_the_disk_did(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.saving import saving_lib

    path = tmp_path / "m.weights.h5"
    with kg.patched():
        model.save_weights(path)
        original = saving_lib.H5IOStore.close

        def close(self: Any) -> None:
            for dataset in self.h5_file["layers/dense/vars"].values():
                dataset[...] = 0
            original(self)

        monkeypatch.setattr(saving_lib.H5IOStore, "close", close)
        with pytest.raises(OSError, match=r"does not hold .*head/"):
            model.save_weights(path)
    assert kg.verify(path).ok
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_no_dtype_or_quantised_layer_is_taken_for_a_bad_write(tmp_path: Path, dtype: str) -> None:
    import keras

    for name, mode in cases():
        layers = [keras.layers.Dense(8, dtype=dtype, name="a"), keras.layers.BatchNormalization()]
        model = keras.Sequential([keras.Input((8,)), *layers])
        if mode and dtype != "float16":
            model.get_layer("a").quantize(mode)
        with kg.patched(strict=True):
            save = model.save_weights if "weights" in name else model.save
            save(tmp_path / name)
        assert kg.verify(tmp_path / name).origin == "recorded"


def cases() -> Iterator[tuple[str, str]]:
    yield from ((name, mode) for name in KINDS[:2] for mode in ("", "int8", "float8"))
    yield "m.h5", ""


def digest_of(array: np.ndarray[Any, Any]) -> str:
    from kerasguard.tensors.elements import digest

    return digest(array.astype(np.float32))


def weights(manifest: Any) -> Iterator[Any]:
    return (r for r in manifest.table.tensors.values() if r.role == "weight")


def test_one_of_several_workers_writes_nothing_again_by_itself(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kerasguard.recorder.workers.together", lambda _: True)
    disk = Disk(model, "m.keras", bad=1)
    with pytest.raises(BadWriteError, match="head/bias"):
        guard.save(disk, tmp_path / "m.keras", model)
    assert disk.saves == 1
    assert not list(tmp_path.iterdir())
