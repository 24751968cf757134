"""Checkpoints are found by their content, whatever they are called."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import tarfile
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from format_files import hdf5

from kerasguard import guard
from kerasguard.checkpoints import inspect
from kerasguard.checkpoints.scan import Found, scan


@pytest.fixture
def tree(repository: Path, tmp_path: Path) -> Path:
    """A folder with one checkpoint of every old kind, and files that are none."""
    golden = repository / "tests/golden"
    shutil.copytree(golden / "saved_model/tf2.0.4-mlp", tmp_path / "models/exported")
    for path in (golden / "tf_checkpoint").glob("tf2.15.1-bidir.*"):
        shutil.copy(path, tmp_path / "models" / path.name)
    with tarfile.open(golden / "writers/tf2.3.1.tar.xz") as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("tf2.3.1/mlp.h5"))
        member.name = "models/without_a_suffix"
        archive.extract(member, tmp_path, filter="data")
    (tmp_path / "notes.h5").write_text("no checkpoint")
    (tmp_path / ".hidden").mkdir()
    shutil.copy(tmp_path / "models/without_a_suffix", tmp_path / ".hidden/old.h5")
    return tmp_path


def states(folder: Path, *, verify: bool = True) -> dict[str, str]:
    return {str(Path(f.path).relative_to(folder)): f.state for f in scan(folder, verify=verify)}


def test_every_kind_is_found_once_and_nothing_else(tree: Path) -> None:
    found = {str(Path(f.path).relative_to(tree)): f.format for f in scan(tree)}
    assert found == {
        "models/exported": "saved_model",
        "models/tf2.15.1-bidir": "tf_checkpoint",
        "models/without_a_suffix": "legacy_h5",
    }


def test_recorded_intact_and_changed_checkpoints_are_told_apart(tree: Path) -> None:
    path = tree / "models/without_a_suffix"
    assert states(tree)["models/without_a_suffix"] == "unrecorded"
    guard.record(path)
    assert states(tree)["models/without_a_suffix"] == "intact"
    assert states(tree, verify=False)["models/without_a_suffix"] == "recorded"
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        names: list[str] = []
        group.visititems(lambda n, v: names.append(n) if isinstance(v, h5py.Dataset) else None)
        group[names[0]][...] = 7.0
    found = next(f for f in scan(tree) if f.path == str(path))
    assert (found.state, found.format) == ("differs", "legacy_h5")
    assert found.detail


def test_a_damaged_checkpoint_is_listed_with_the_reason(tree: Path) -> None:
    path = tree / "models/exported/saved_model.pb"
    path.write_bytes(path.read_bytes()[:2000])
    found = next(f for f in scan(tree) if f.path.endswith("exported"))
    assert found.state == "unreadable"
    assert "exported" in found.detail


def test_hdf5_without_weights_of_keras_is_called_that(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.weights.h5", "w") as file:
        file["layers/inputs"] = [1.0]
    (found,) = scan(tmp_path)
    assert found.state == "unreadable"
    assert "without Keras weights" in found.detail


def test_a_functional_model_of_keras_2_asks_for_no_class(tmp_path: Path) -> None:
    layer = {"class_name": "InputLayer", "module": "keras.layers", "config": {"name": "i"}}
    config = {
        "module": "keras.src.engine.functional",
        "class_name": "Functional",
        "config": {"name": "m", "layers": [layer]},
        "registered_name": "Functional",
    }
    for version, needs in (("2.13.1", False), ("3.0.0", True)):
        with zipfile.ZipFile(tmp_path / f"{version}.keras", "w") as target:
            target.writestr("metadata.json", json.dumps({"keras_version": version}))
            target.writestr("config.json", json.dumps(config))
            target.writestr("model.weights.h5", hdf5({"layers/dense/vars/0": np.ones(2)}))
        found = next(f for f in scan(tmp_path) if f.path.endswith(f"{version}.keras"))
        assert (found.state, bool(found.needs)) == ("unrecorded", needs)


def test_what_keras_2_wrote_by_name_alone_is_asked_for_as_a_load_would(tmp_path: Path) -> None:
    kinds = {"a": "Thing", "b": "Dense", "c": "Lambda"}
    configs: dict[str, dict[str, object]] = {n: {"name": n} for n in kinds}
    configs["c"]["function"] = "sampling"
    layers = [{"class_name": kind, "config": configs[name]} for name, kind in kinds.items()]
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"b"]
        weights.attrs["keras_version"] = b"2.2.4"
        dense = weights.create_group("b")
        dense.attrs["weight_names"] = [b"b/kernel:0"]
        dense["b/kernel:0"] = np.ones((2, 2), "float32")
    (found,) = scan(tmp_path)
    assert found.state == "unrecorded"
    told = sorted((doubt.reason, doubt.owner) for doubt in found.doubts)
    assert told == [("class", "a"), ("function", "c")]


def test_an_empty_folder_has_none_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    assert list(scan(tmp_path)) == []
    with pytest.raises(NotADirectoryError, match="no such folder"):
        list(scan(tmp_path / "nothing"))


def test_a_find_is_plain_data() -> None:
    found = Found("a.keras", "keras_zip", "intact")
    assert found.to_dict() == {
        "path": "a.keras",
        "format": "keras_zip",
        "state": "intact",
        "detail": "",
    }


def test_whoever_looks_the_finds_are_the_same_and_in_order(tree: Path) -> None:
    alone = list(scan(tree))
    with ThreadPoolExecutor(2) as executor:
        assert list(scan(tree, executor=executor)) == alone


@pytest.mark.slow
def test_processes_find_what_one_finds(tree: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(scan(tree, executor=executor)) == list(scan(tree))


def test_what_is_skipped_is_not_opened(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {found.path for found in scan(tree)}
    first, *rest = sorted(known)
    assert {found.path for found in scan(tree, skip={first})} == set(rest)
    monkeypatch.setattr(inspect, "inspect", lambda _: pytest.fail("looked at again"))
    assert list(scan(tree, skip=known)) == []
