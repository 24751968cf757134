"""An index and its shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import hdf5

from kerasguard.errors import CheckpointNotFoundError, CorruptCheckpointError
from kerasguard.formats import open_checkpoint


@pytest.fixture
def index(tmp_path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """Three shards; one layer's variables lie in two of them."""
    layout = {
        "m_00000.weights.h5": ["layers/dense/vars/0"],
        "m_00001.weights.h5": ["layers/dense/vars/1", "layers/dense_1/vars/0"],
        "m_00002.weights.h5": ["layers/dense_1/vars/1"],
    }
    for shard, keys in layout.items():
        (tmp_path / shard).write_bytes(hdf5({key: tensors[key] for key in keys}))
    places: dict[str, list[str]] = {}
    for shard, keys in layout.items():
        for key in keys:
            places.setdefault(f"/{key.rpartition('/')[0]}", []).append(shard)
    path = tmp_path / "m.weights.json"
    _write(path, places)
    return path


def test_the_shards_are_read_as_one_file(index: Path, tensors: Mapping[str, np.ndarray]) -> None:
    with open_checkpoint(index) as opened:
        assert opened.name == "sharded_h5"
        assert list(opened.specs()) == list(tensors)
        assert len(opened.files()) == 4
        for key, array in tensors.items():
            np.testing.assert_array_equal(opened.read(key), array)
            extent = opened.table().tensors[key].extent
            assert extent is not None
            assert extent.file.startswith("m_0000")


def test_a_missing_shard_is_named(index: Path) -> None:
    index.with_name("m_00001.weights.h5").unlink()
    with pytest.raises(CheckpointNotFoundError, match=r"m_00001\.weights\.h5"):
        open_checkpoint(index)


@pytest.mark.parametrize(
    "shard", ["../m.h5", "/etc/passwd", "a\\b", "..", "", ".", 3, [], None, "a:b", "a\nb"]
)
def test_a_shard_must_lie_beside_its_index(index: Path, shard: Any) -> None:
    _write(index, {"/layers/dense/vars": shard})
    with pytest.raises(CorruptCheckpointError, match="not a shard"):
        open_checkpoint(index)


def test_a_shard_of_another_save_is_found(index: Path) -> None:
    """Shards are named by number, so an old one easily stays beside new ones."""
    shutil.copy(index.with_name("m_00000.weights.h5"), index.with_name("m_00002.weights.h5"))
    with open_checkpoint(index) as opened, pytest.raises(CorruptCheckpointError, match="already"):
        opened.table()


def test_index_and_shards_must_tell_the_same(
    index: Path, tensors: Mapping[str, np.ndarray]
) -> None:
    places = json.loads(index.read_text("utf-8"))["weight_map"]
    _write(index, {**places, "/layers/more/vars": "m_00002.weights.h5"})
    with open_checkpoint(index) as opened, pytest.raises(CorruptCheckpointError, match="more"):
        opened.table()
    _write(index, places)
    shard = index.with_name("m_00002.weights.h5")
    shard.write_bytes(hdf5({"layers/other/vars/0": np.ones(2)}))
    with open_checkpoint(index) as opened, pytest.raises(CorruptCheckpointError, match="only the"):
        opened.table()


def test_an_index_cut_off_anywhere_is_refused(index: Path) -> None:
    whole = index.read_bytes()
    for length in range(whole.index(b'"weight_map"') + 12, len(whole)):
        index.write_bytes(whole[:length])
        with pytest.raises(CorruptCheckpointError, match="copy"):
            open_checkpoint(index)


def _write(path: Path, places: Mapping[str, Any]) -> None:
    text = json.dumps({"metadata": {"total_size": 112.0}, "weight_map": dict(places)}, indent=4)
    path.write_text(text, "utf-8")


@pytest.mark.parametrize("told", [{"total_size": 0}, {"total_size": 0.0}])
def test_an_index_of_no_weights_has_no_shards(tmp_path: Path, told: Any) -> None:
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps({"metadata": told, "weight_map": {}}))
    with open_checkpoint(path) as opened:
        assert opened.specs() == {}
        assert list(opened.files()) == ["m.weights.json"]


@pytest.mark.parametrize("told", [None, {}, {"total_size": 112.0}, {"total_size": False}])
def test_an_index_that_lost_its_shards_is_refused(tmp_path: Path, told: Any) -> None:
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps({"metadata": told, "weight_map": {}}))
    with pytest.raises(CorruptCheckpointError, match="names no shards"), open_checkpoint(path):
        pass
