"""The quick proof that nothing changed says yes exactly where the full reading finds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import CONFIG, hdf5, zipped
from surveyed import is_as_recorded
from tf_bundles import write_bundle

import kerasguard as kg
from kerasguard.checkpoints import inspect
from kerasguard.manifest import Manifest
from kerasguard.storage import sidecar

GENERATOR = np.random.default_rng(5)
TENSORS = {
    "layers/dense/vars/0": GENERATOR.normal(size=(3, 4)).astype("float32"),
    "layers/dense/vars/1": np.array([0, np.nan, 1, np.inf], "float32"),
    "layers/dense_1/vars/0": GENERATOR.normal(size=(4, 2)).astype("float32"),
    "layers/dense_1/vars/1": np.zeros(2, "float32"),
}


def weights(path: Path) -> Path:
    path = path / "m.weights.h5"
    path.write_bytes(hdf5(TENSORS))
    return path


def archive(path: Path) -> Path:
    path = path / "m.keras"
    parts = {
        "metadata.json": json.dumps({"keras_version": "3.15.1"}).encode(),
        "config.json": json.dumps(CONFIG).encode(),
        "model.weights.h5": hdf5(TENSORS),
    }
    path.write_bytes(zipped(parts))
    return path


def bundle(path: Path) -> Path:
    write_bundle(path / "ckpt", TENSORS)
    return path / "ckpt"


FORMATS: Mapping[str, Callable[[Path], Path]] = {
    "weights_h5": weights,
    "keras_zip": archive,
    "tf_checkpoint": bundle,
}


@pytest.fixture(params=FORMATS)
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = FORMATS[request.param](tmp_path)
    kg.record(path)
    return path


def manifest_of(path: Path) -> Manifest:
    found = sidecar.read(path)
    assert found is not None
    return found


@pytest.mark.parametrize("sha256", [False, True])
def test_both_ways_tell_the_same_of_an_intact_checkpoint(recorded: Path, sha256: bool) -> None:
    manifest = manifest_of(recorded)
    assert is_as_recorded(recorded, manifest, sha256=sha256)
    full = inspect._compared(recorded, recorded, manifest, sha256=sha256)
    assert kg.verify(recorded, sha256=sha256) == full
    assert {finding.code for finding in full.findings} == {"KG301"}


def test_a_change_of_any_file_is_no_longer_as_recorded(recorded: Path) -> None:
    manifest = manifest_of(recorded)
    for record, path in sidecar.located(manifest, recorded).items():
        intact = path.read_bytes()
        for changed in (intact + b"x", intact[:-1], b"x" + intact[1:]):
            path.write_bytes(changed)
            assert not is_as_recorded(recorded, manifest), record.name
            assert not _verified(recorded)
        path.unlink()
        assert not is_as_recorded(recorded, manifest)
        path.write_bytes(intact)
    assert is_as_recorded(recorded, manifest)


def _verified(path: Path) -> bool:
    try:
        return kg.verify(path).ok
    except kg.KerasguardError:
        return False


def _first(part: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def get(data: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = data[part][0]
        return found

    return get


@pytest.mark.parametrize(
    ("of", "field", "value"),
    [
        (_first("files"), "skeleton", f"xxh3:{'0' * 32}"),
        (_first("files"), "size", 7),
        (_first("tensors"), "digest", f"xxh3:{'0' * 32}"),
        (_first("tensors"), "offset", 1),
        (_first("tensors"), "length", 4),
        (_first("tensors"), "shape", [3, 5]),
        (_first("tensors"), "file", "another"),
        (_first("tensors"), "offset", 1 << 40),
    ],
)
def test_a_manifest_that_contradicts_its_checkpoint_is_no_proof(
    recorded: Path,
    of: Callable[[dict[str, Any]], dict[str, Any]],
    field: str,
    value: object,
) -> None:
    data = manifest_of(recorded).to_dict()
    of(data)[field] = value
    changed = Manifest.from_dict(data)
    assert not is_as_recorded(recorded, changed)
    sidecar.write(recorded, changed)
    assert not _verified(recorded)


def test_a_files_sha256_is_compared_where_it_is_asked_for(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = manifest_of(recorded).to_dict()
    data["files"][0]["sha256"] = "0" * 64
    sidecar.write(recorded, Manifest.from_dict(data))
    found = kg.verify(recorded, sha256=True)
    assert not found.ok
    assert "its SHA-256 differs from the recorded one" in found.text
    monkeypatch.setattr("hashlib.sha256", lambda *_: pytest.fail("nobody asked for it"))
    assert kg.verify(recorded).ok


def test_tensors_in_pieces_are_as_recorded_where_all_other_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    path.write_bytes(hdf5(TENSORS))
    import h5py

    with h5py.File(path, "a") as file:
        del file["layers/dense/vars/0"]
        data = TENSORS["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", data=data, chunks=(1, 4), compression="gzip")
    kg.record(path)
    assert is_as_recorded(path, manifest_of(path))
    assert kg.verify(path).ok
    with h5py.File(path) as file:
        stored = file["layers/dense/vars/0"].id.get_chunk_info(1)
    damaged = bytearray(path.read_bytes())
    damaged[stored.byte_offset + stored.size - 1] ^= 1
    path.write_bytes(damaged)
    assert not is_as_recorded(path, manifest_of(path))


def test_an_empty_tensor_has_no_bytes_to_compare(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    path.write_bytes(hdf5({**TENSORS, "layers/empty/vars/0": np.zeros((0, 3), "float32")}))
    kg.record(path)
    assert kg.verify(path).ok


def test_a_renamed_file_is_still_the_recorded_one(tmp_path: Path) -> None:
    path = weights(tmp_path)
    kg.record(path)
    other = path.rename(tmp_path / "renamed.weights.h5")
    sidecar.sidecar_path(path).rename(sidecar.sidecar_path(other))
    assert is_as_recorded(other, manifest_of(other))
    assert kg.verify(other).ok
