"""Layers crowded as in no model are refused before anything is done for each of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import kerasguard as kg
from kerasguard.errors import ArchitectureError
from kerasguard.loader.layer_limit import too_many_layers
from kerasguard.storage.budget import LIMITS

SMALL = {"class_name": "GRU", "config": {}}


def model(layers: int, layer: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": [layer] * layers}


def test_few_layers_may_be_small_and_many_may_not() -> None:
    assert too_many_layers(model(4_999, SMALL)) == ""
    assert "5001 layers" in too_many_layers(model(5_000, SMALL))


def test_a_large_file_may_have_as_many_layers_as_it_has_room_for() -> None:
    # What Keras 2 writes at least for a layer of a graph.
    spelled = {
        "class_name": "Activation",
        "config": {"name": "activation_10000", "trainable": True, "dtype": "float32"}
        | {"activation": "relu"},
        "name": "activation_10000",
        "inbound_nodes": [[["activation_9999", 0, 0, {}]]],
    }
    assert too_many_layers(model(10_000, spelled)) == ""


def test_the_caller_raises_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{LIMITS}=3 " in too_many_layers(model(12_000, SMALL))
    monkeypatch.setenv(LIMITS, "3")
    assert too_many_layers(model(12_000, SMALL)) == ""


@pytest.mark.keras
def test_a_file_is_refused_by_name_before_keras_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import h5py
    import keras
    import numpy as np

    def called(*_: object, **__: object) -> None:
        raise AssertionError("Keras is called")

    monkeypatch.setattr(keras.saving, "deserialize_keras_object", called)
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layers/gru/vars/0"] = np.zeros(3, "float32")
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(model(20_000, SMALL)))
        archive.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    with pytest.raises(ArchitectureError, match=rf"m\.keras: .*20001 layers.*{LIMITS}=5"):
        kg.load(path)
