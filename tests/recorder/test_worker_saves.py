"""What a worker that is not the chief is told to save never takes the place of the chief's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.recorder import workers

pytestmark = pytest.mark.keras


@pytest.fixture
def model() -> Any:
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="head")])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process is worker 1 of two; the chief tells what is put here."""
    texts: dict[str, str] = {}

    class Channel:
        rank, count = 1, 2

        def get(self, key: str, seconds: float) -> str | None:
            return texts.get(key)

    monkeypatch.setattr("kerasguard.models.kerases.workers.channel", lambda *_: Channel())
    monkeypatch.setattr("kerasguard.models.kerases.workers.is_chief", lambda _: False)
    return texts


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_at_the_chiefs_path_it_is_written_aside_and_dropped(
    tmp_path: Path, model: Any, told: dict[str, str]
) -> None:
    path = tmp_path / "m.keras"
    path.write_text("the chief's")
    told[workers._key(path)] = "0"
    with kg.patched():
        model.save(path)
    assert path.read_text() == "the chief's"
    assert names(tmp_path) == ["m.keras"]


def test_at_a_path_of_its_own_it_is_saved_and_has_no_manifest(
    tmp_path: Path, model: Any, told: dict[str, str]
) -> None:
    with kg.patched():
        model.save(tmp_path / "m.keras")
        model.save_weights(tmp_path / "m.weights.h5")
    assert names(tmp_path) == ["m.keras", "m.weights.h5"]
    values = kg.read(tmp_path / "m.weights.h5")
    assert any(np.array_equal(values[name], model.layers[0].kernel) for name in values)


def test_at_an_address_it_is_written_aside_and_dropped(model: Any, told: dict[str, str]) -> None:
    store = pytest.importorskip("fsspec").filesystem("memory")
    with kg.patched():
        model.save("memory://worker-saves/m.keras")
    assert not store.exists("worker-saves/m.keras")


def test_the_folders_that_keras_deletes_are_left_to_it() -> None:
    url = "gs://bucket/run/workertemp_1/m.keras"
    with workers.put_aside(url) as place:
        assert place == url
