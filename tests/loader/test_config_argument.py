"""Weights beside an architecture: `model.json` and `model.h5`, of every Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from corpora import predicted, unpacked

import kerasguard as kg
from kerasguard.errors import ArchitectureError, ArgumentError, CheckpointNotFoundError
from kerasguard.loader.config_argument import beside, given_config

# Weights alone do not tell that recurrent layers of TensorFlow 1.12 had another hard_sigmoid.
OLD = [
    ("tf1.12.3", "lstm", "lstm_weights.h5"),
    ("tf1.15.5", "cnn_bn", "cnn_bn_weights.h5"),
    ("tf2.3.1", "activations", "ckpt/activations"),
    ("tf2.15.1", "nested", "nested.weights.h5"),
]


def stored_json(path: Path) -> dict[str, Any]:
    """What `to_json()` gave when the whole model was written to an HDF5 file."""
    with h5py.File(path) as file:
        told = {k: file.attrs[k] for k in ("keras_version", "backend")}
        text = file.attrs["model_config"]
    found: dict[str, Any] = json.loads(text)
    return found | {k: v.decode() if isinstance(v, bytes) else str(v) for k, v in told.items()}


@pytest.mark.keras
@pytest.mark.parametrize(("writer", "name", "weights"), OLD)
def test_weights_of_old_writers_load_with_the_json_beside_them(
    tmp_path: Path, writer: str, name: str, weights: str
) -> None:
    folder = unpacked(writer, tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(stored_json(folder / f"{name}.h5")))
    path = folder / weights
    if not path.exists() and path.suffix == ".h5":
        path = folder / f"{name}_weights.h5"
    model = kg.load(path, config=tmp_path / "model.json")
    with np.load(folder / f"{name}.npz") as arrays:
        inputs = [arrays[k] for k in sorted(arrays.files) if k[0] == "x"]
        largest = float(np.abs(arrays["y0"]).max())
        found = predicted(model, inputs)
        np.testing.assert_allclose(found, arrays["y0"], rtol=0, atol=1e-5 * max(1, largest))


def made(activation: str = "relu") -> Any:
    import keras

    inputs = keras.Input((4,), name="inputs")
    hidden = keras.layers.Dense(3, activation=activation, name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden), name="made")


@pytest.mark.keras
def test_every_spelling_of_a_config_builds_the_model(tmp_path: Path) -> None:
    model = made()
    text = model.to_json()
    (tmp_path / "model.json").write_text(json.dumps(text))  # encoded twice, as some have it
    model.save_weights(tmp_path / "w.weights.h5")
    x = np.arange(8, dtype="float32").reshape(2, 4)
    spelt = (text, json.loads(text), tmp_path / "model.json", str(tmp_path / "model.json"))
    arrays = {v.path: v.numpy() for v in model.weights}
    for config in spelt:
        for source in (tmp_path / "w.weights.h5", arrays):
            found = kg.load(source, config=config)
            assert np.array_equal(found(x), model(x))
            assert [layer.name for layer in found.layers] == ["inputs", "hidden", "head"]


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_a_config_that_computes_something_else_than_the_checkpoint_tells_is_told(
    tmp_path: Path, name: str
) -> None:
    model = made()
    with kg.patched():
        (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    same = kg.restore(tmp_path / name, config=model.to_json()).report
    assert [f.code for f in same.findings] == []
    other = kg.restore(tmp_path / name, config=made("tanh").to_json()).report
    assert [f.code for f in other.findings] == ["KG107"]
    assert "hidden: its configuration differs" in str(other.findings[0])


@pytest.mark.keras
def test_weights_without_an_architecture_name_the_json_beside_them(tmp_path: Path) -> None:
    model = made()
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ArchitectureError, match=r"its JSON, from model.to_json\(\), is enough"):
        kg.load(tmp_path / "m.weights.h5")
    kg.record(tmp_path / "m.weights.h5")
    (tmp_path / "labels.json").write_text('{"class": 1}')
    (tmp_path / "net.json").write_text(model.to_json())
    assert beside(tmp_path / "m.weights.h5") == "net.json"
    with pytest.raises(ArchitectureError, match=r"beside it looks like one.*config='.*net.json'"):
        kg.load(tmp_path / "m.weights.h5")


@pytest.mark.keras
def test_a_config_that_does_not_fit_the_weights_is_refused(tmp_path: Path) -> None:
    import keras

    made().save_weights(tmp_path / "m.weights.h5")
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="hidden")])
    with pytest.raises(kg.UnrepairableError):
        kg.load(tmp_path / "m.weights.h5", config=other.to_json())


@pytest.mark.keras
def test_a_config_of_a_stranger_cannot_name_what_acts_on_the_machine(tmp_path: Path) -> None:
    model = made()
    model.save_weights(tmp_path / "m.weights.h5")
    told = json.loads(model.to_json())
    told["config"]["layers"][1]["config"]["activation"] = {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "system",
    }
    with pytest.raises(ArchitectureError, match="system"):
        kg.load(tmp_path / "m.weights.h5", config=told)


def test_model_and_config_exclude_each_other() -> None:
    class Model:
        weights: tuple[object, ...] = ()

    with pytest.raises(ArgumentError, match="pass one of them"):
        kg.load("missing.h5", Model(), config="model.json")


def test_what_is_no_architecture_is_refused_with_what_it_looks_like(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("backend: tensorflow\nclass_name: Model\nconfig: {}\n")
    (tmp_path / "m.keras").write_bytes(b"PK\3\4\x14\0")
    cases: list[tuple[Any, str]] = [
        (tmp_path / "m.yaml", r"json.dump\(yaml.safe_load"),
        (tmp_path / "m.keras", "contains its architecture"),
        ("{", "not JSON"),
        ({"a": 1}, "found one with a"),
        ({"class_name": object()}, "not JSON"),
        ("[1]x", "no such file"),
    ]
    for config, message in cases:
        with pytest.raises((ArchitectureError, CheckpointNotFoundError), match=message):
            given_config(config)


def test_the_version_comes_from_the_config_or_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"module": "keras", "class_name": "Sequential"}')
    assert given_config(tmp_path / "config.json").versions == {"keras": "3"}
    (tmp_path / "metadata.json").write_text('{"keras_version": "2.15.0"}')
    assert given_config(tmp_path / "config.json").versions == {"keras": "2.15.0"}
    old = given_config({"class_name": "Model", "keras_version": "1.2.2", "backend": "theano"})
    assert (old.form, old.versions) == ("legacy", {"keras": "1.2.2", "backend": "theano"})
    assert old.writer({"keras": "1"})["keras"] == "1.2.2"
    assert old.writer({"keras": "2.1.0"})["keras"] == "2.1.0"
