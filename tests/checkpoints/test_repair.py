"""A repaired checkpoint is one that Keras alone loads, and the original stays as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import kerasguard as kg
from kerasguard import errors

pytestmark = pytest.mark.keras

_KERAS_ALONE = """
import json, sys
import keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
x = np.linspace(-3, 3, 8, dtype="float32").reshape(2, 4)
assert not any(name.startswith("kerasguard") for name in sys.modules)
print(json.dumps([model.predict(x, verbose=0).tolist(), model.optimizer.iterations.numpy().item()]))
"""


class Twice(keras.layers.Layer):  # type: ignore[misc]
    """A layer of the user's own."""

    def call(self, x: Any) -> Any:
        return x * 2


def shifted(x: Any) -> Any:
    """A function of the user's own."""
    return x + 1


def old_file(path: Path, activation: str = "hard_sigmoid", middle: Any = ()) -> Path:
    """A legacy HDF5 file as Keras 2.3 writes it, of a trained model with old functions."""
    layers = [keras.layers.Dense(3, name="body"), keras.layers.Dense(2, name="head")]
    model = keras.Sequential([keras.Input((4,)), *layers], name="old")
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(np.ones((4, 4)), np.ones((4, 2)), epochs=2, verbose=0)
    model.save(path)
    configs = [
        {
            "class_name": "Dense",
            "config": {
                "name": name,
                "units": units,
                "activation": function,
                **({"batch_input_shape": [None, 4]} if name == "body" else {}),
            },
        }
        for name, units, function in (("body", 3, activation), ("head", 2, "linear"))
    ]
    configs[1:1] = middle
    config = {"class_name": "Sequential", "config": {"name": "old", "layers": configs}}
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.3.1"
        file.attrs["model_config"] = json.dumps(config)
    return path


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return old_file(tmp_path_factory.mktemp("old") / "old.h5")


@pytest.fixture(scope="module")
def repaired(old: Path) -> tuple[Path, kg.Report]:
    out = old.with_name("new.keras")
    return out, kg.repair(old, out)


@pytest.mark.slow
def test_a_fresh_process_loads_it_with_keras_alone(
    old: Path, repaired: tuple[Path, kg.Report]
) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", _KERAS_ALONE, str(repaired[0])],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    predicted, iterations = json.loads(done.stdout)
    x = np.linspace(-3, 3, 8, dtype="float32").reshape(2, 4)
    model = kg.load(old)
    np.testing.assert_array_equal(np.float32(predicted), model.predict(x, verbose=0))
    body = x @ model.get_layer("body").get_weights()[0] + model.get_layer("body").get_weights()[1]
    hidden = np.clip(0.2 * body + 0.5, 0, 1)  # what Keras 2 calls hard_sigmoid
    head = model.get_layer("head").get_weights()
    np.testing.assert_allclose(predicted, hidden @ head[0] + head[1], rtol=1e-5, atol=1e-6)
    assert iterations == 2


def test_the_new_file_is_recorded_and_intact(repaired: tuple[Path, kg.Report]) -> None:
    out, report = repaired
    assert kg.verify(out).ok
    assert report.written is not None
    assert kg.verify(out).checkpoint_id == report.written.checkpoint_id


def test_the_report_lists_every_change_with_what_makes_it_right(
    repaired: tuple[Path, kg.Report],
) -> None:
    out, report = repaired
    assert report.ok
    assert "KG409 body: activation hard_sigmoid stays that of Keras 2" in report.text
    assert "KG409 is exact: always, to the bit" in report.text
    assert "the same bytes, and a made-up input gives the same predictions" in report.text
    assert "optimizer restored" in report.text
    assert f'keras.saving.load_model("{out}")' in report.text
    assert set(report.evidence) == {finding.code for finding in report.findings}
    assert json.loads(json.dumps(report.to_dict()))["written"]["needs"] == []
    assert out.name in report.html.replace("<wbr>", "")
    assert str(out.parent) not in report.html


def test_the_original_is_not_written_to_and_nothing_else_is_left(
    old: Path, repaired: tuple[Path, kg.Report]
) -> None:
    manifest = kg.inspect(repaired[0])
    kept = {manifest.companion.name} if manifest.companion else set()
    names = {path.name for path in old.parent.iterdir()}
    assert names == {"old.h5", "new.keras", "new.keras.manifest.json", *kept}
    with h5py.File(old) as file:
        assert file.attrs["keras_version"] == "2.3.1"


def test_a_dry_run_tells_the_same_and_writes_nothing(old: Path, tmp_path: Path) -> None:
    report = kg.repair(old, tmp_path / "new.keras", dry_run=True)
    assert report.ok
    assert "can be repaired, 14 tensors; nothing was written" in report.summary
    assert "KG409" in report.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [os.link, os.symlink, None])
def test_the_original_is_refused_under_every_name(
    make: Callable[[Path, Path], None] | None, old: Path, tmp_path: Path
) -> None:
    path = tmp_path / "old.keras"  # the content decides what it is
    path.write_bytes(old.read_bytes())
    out = path if make is None else tmp_path / "other.keras"
    if make is not None:
        make(path, out)
    before = path.read_bytes()
    with pytest.raises(errors.OutputError, match="the original is never written to"):
        kg.repair(path, out, overwrite=True)
    assert path.read_bytes() == before


def test_an_existing_file_or_manifest_is_not_overwritten_unless_asked(
    old: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new.keras"
    for existing in (out, tmp_path / "new.keras.manifest.json"):
        existing.write_text("mine")
        with pytest.raises(errors.OutputError, match="exists and is not overwritten"):
            kg.repair(old, out)
        assert existing.read_text() == "mine"
        existing.unlink()
    out.write_text("mine")
    kg.repair(old, out, overwrite=True)
    assert kg.verify(out).ok


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("new.txt", "say what to write"),
        ("no/new.keras", "no folder"),
        ("d.keras", "is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_first(
    name: str, match: str, tmp_path: Path
) -> None:
    (tmp_path / "d.keras").mkdir()
    with pytest.raises(errors.OutputError, match=match):
        kg.repair(tmp_path / "not even looked at", tmp_path / name)


def test_a_folder_is_not_written_into_while_it_is_read(repository: Path, tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "model"
    shutil.copytree(repository / "tests/golden/saved_model/tf2.15.1-mlp", path)
    with pytest.raises(errors.OutputError, match="the original is never written to"):
        kg.repair(path, path / "new.keras")


def test_what_keras_must_be_told_is_told(tmp_path: Path) -> None:
    middle = [{"class_name": "Pkg>Twice", "config": {"name": "twice"}}]
    path = old_file(tmp_path / "old.h5", "shifted", middle)
    out = tmp_path / "new.keras"
    custom = {"Pkg>Twice": Twice, "shifted": shifted}
    report = kg.repair(path, out, custom_objects=custom)
    assert report.written is not None
    assert report.written.needs == ("Twice", "shifted")
    assert 'custom_objects={"Twice": Twice, "shifted": shifted}' in report.text
    x = np.ones((2, 4), "float32")
    again = keras.saving.load_model(out, custom_objects={"Twice": Twice, "shifted": shifted})
    first = kg.load(path, custom_objects=custom)
    np.testing.assert_array_equal(again.predict(x, verbose=0), first.predict(x, verbose=0))


def test_a_lambda_that_keras_would_refuse_to_read_is_refused(tmp_path: Path) -> None:
    middle = [
        {"class_name": "Lambda", "config": {"name": "f", "function": ["4wEA"], "arguments": {}}}
    ]
    path = old_file(tmp_path / "old.h5", "linear", middle)
    custom = {"f": lambda x: x * 2}
    out = tmp_path / "new.keras"
    assert not kg.repair(path, out, custom_objects=custom, dry_run=True).ok
    with pytest.raises(kg.UnrepairableError, match="f: its function is a lambda") as caught:
        kg.repair(path, out, custom_objects=custom)
    assert not caught.value.report.ok
    assert not out.exists()
    kg.repair(path, out, custom_objects={"f": shifted})
    assert kg.verify(out).ok


def test_a_file_that_keras_reads_otherwise_is_never_put_in_place(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = keras.saving.load_model

    def other(*args: Any, **options: Any) -> Any:
        model = load(*args, **options)
        model.layers[0].kernel.assign(model.layers[0].kernel * 2)
        return model

    monkeypatch.setattr(keras.saving, "load_model", other)
    with pytest.raises(
        kg.UnrepairableError, match="different tensor in the model that Keras loads"
    ):
        kg.repair(old, tmp_path / "new.keras")
    assert list(tmp_path.iterdir()) == []


def test_weights_alone_are_written_with_the_model_that_was_given(tmp_path: Path) -> None:
    def net() -> keras.Model:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])

    first = net()
    first.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(errors.ArchitectureError, match="model=model"):
        kg.repair(tmp_path / "w.weights.h5", tmp_path / "new.keras")
    with kg.patched():  # which must not record the file in the staging folder
        kg.repair(tmp_path / "w.weights.h5", tmp_path / "new.keras", net())
    again = keras.saving.load_model(tmp_path / "new.keras")
    np.testing.assert_array_equal(again.get_weights()[0], first.get_weights()[0])
    assert kg.verify(tmp_path / "new.keras").ok


@pytest.mark.parametrize(("choice", "rate"), [("stored", 0.5), ("compiled", 0.25)])
def test_the_learning_rate_that_is_written_is_the_callers_choice(
    choice: Any, rate: float, tmp_path: Path
) -> None:
    def net(learning_rate: float) -> keras.Model:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
        model.compile(keras.optimizers.SGD(learning_rate), "mse", run_eagerly=True)
        return model

    first = net(0.5)
    first.optimizer.build(first.trainable_variables)
    first.save_weights(tmp_path / "w.weights.h5")
    options = {"learning_rate": choice, "probe": False}
    kg.repair(tmp_path / "w.weights.h5", tmp_path / "new.keras", net(0.25), **options)
    again = keras.saving.load_model(tmp_path / "new.keras")
    assert float(again.optimizer.learning_rate.numpy()) == rate


def test_an_unrepairable_checkpoint_writes_nothing(old: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    path.write_bytes(old.read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights/head/old/head"]
        del group["kernel"]
        group["kernel"] = np.zeros((5, 5), "float32")
    with pytest.raises(kg.UnrepairableError):
        kg.repair(path, tmp_path / "new.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["old.h5"]


def test_progress_is_told_step_by_step(old: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    kg.repair(old, tmp_path / "new.keras", progress=lines.append)
    assert [line.partition(" ")[0] for line in lines] == [
        "reading",
        "restoring",
        "writing",
        "reading",
    ]
    with zipfile.ZipFile(tmp_path / "new.keras") as archive:
        assert b"kerasguard" not in archive.read("config.json")
