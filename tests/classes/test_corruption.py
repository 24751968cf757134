"""Damaged, half-written and mixed files."""

from __future__ import annotations

import fcntl
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from class_judge import Judge, fresh, predicts, recorded, seq

import kerasguard as kg

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:.*HDF5 file")]


def wide() -> Any:
    return seq(layers.Dense(64), layers.Dense(64))


def damage(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def kernel_place(path: Path) -> int:
    """Where the second kernel of `wide` lies in a weights file."""
    with h5py.File(path) as file:
        return int(file["layers/dense_1/vars/0"].id.get_offset())


def test_bitflip_weights_h5(judge: Judge, tmp_path: Path) -> None:
    path = recorded(fresh(wide), tmp_path / "m.weights.h5")
    place = kernel_place(path) + 403  # a sign and exponent byte
    damage(path, place, bytes([path.read_bytes()[place] ^ 0x40]))
    judge.recorded(path, fresh(wide, seed=9))
    # A .keras file has CRCs of its own.
    fresh(wide).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        start = archive.getinfo("model.weights.h5").header_offset
    damage(tmp_path / "m.keras", start + 9000, b"\x55")
    judge.alone(tmp_path / "m.keras", instead="refused CorruptCheckpointError")


def test_zero_hole(judge: Judge, tmp_path: Path) -> None:
    path = recorded(fresh(wide), tmp_path / "m.weights.h5")
    damage(path, kernel_place(path), bytes(4096))
    judge.recorded(path, fresh(wide, seed=9))


def test_mixed_shards(judge: Judge, tmp_path: Path) -> None:
    for epoch in (1, 2):
        folder = tmp_path / str(epoch)
        folder.mkdir()
        with kg.patched():
            model = fresh(wide, seed=epoch)
            model.save_weights(folder / "m.weights.json", max_shard_size=1.57e-5)
    shards = sorted((tmp_path / "1").glob("*.h5"))
    assert len(shards) > 1
    shutil.copy(shards[-1], tmp_path / "2" / shards[-1].name)
    judge.recorded(tmp_path / "2" / "m.weights.json", fresh(wide, seed=9))


def twins() -> Any:
    """A layer with two variables of one name: legacy HDF5 files have no place for both."""

    class Twins(layers.Layer):  # type: ignore[misc,name-defined]
        def build(self, shape: Any) -> None:
            self.a = self.add_weight(shape=(4,), name="w")
            self.b = self.add_weight(shape=(4,), name="w")

        def call(self, x: Any) -> Any:
            return x * self.a + self.b

    return keras.Sequential([keras.Input((4,)), Twins()])


def test_half_written_h5_after_save_error(judge: Judge, tmp_path: Path) -> None:
    good = recorded(seq(layers.Dense(4)), tmp_path / "m.h5")
    before = good.read_bytes()
    model = fresh(twins)
    for path in (good, tmp_path / "new.h5"):
        with kg.patched(), pytest.raises(ValueError, match="already exists"):
            model.save(path)
    assert good.read_bytes() == before
    assert not (tmp_path / "new.h5").exists()
    with pytest.raises(ValueError, match="already exists"):
        model.save(tmp_path / "left.h5")
    judge.alone(tmp_path / "left.h5", fresh(twins, seed=9))


def cut(path: Path, size: int) -> Path:
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def test_truncated_h5(judge: Judge, tmp_path: Path) -> None:
    model = fresh(wide)
    for name in ("m.weights.h5", "m.h5"):
        path = recorded(model, tmp_path / name)
        size = path.stat().st_size
        bare = Path(shutil.copy(path, tmp_path / f"alone.{name}"))
        for part in (size - 1, size // 2, 100):
            judge.recorded(cut(path, part), model)
            judge.alone(cut(bare, part), model)


def test_truncated_keras(judge: Judge, tmp_path: Path) -> None:
    path = recorded(fresh(wide), tmp_path / "m.keras")
    size = path.stat().st_size
    bare = Path(shutil.copy(path, tmp_path / "alone.keras"))
    for part in (size - 1, size // 2, 100):
        judge.recorded(cut(path, part))
        judge.alone(cut(bare, part))


def test_empty_file(judge: Judge, tmp_path: Path) -> None:
    model = fresh(wide)
    for name in ("m.weights.h5", "m.h5", "m.keras"):
        path = cut(recorded(model, tmp_path / name), 0)
        judge.recorded(path, model)
        judge.alone(Path(shutil.copy(path, tmp_path / f"alone.{name}")), model)


def test_file_locking(judge: Judge, tmp_path: Path, x: Any) -> None:
    model = fresh(wide)
    right = predicts(x, model(x))
    for name, ask in (("m.weights.h5", judge.recorded), ("m.h5", judge.alone)):
        path = recorded(model, tmp_path / name)
        if ask == judge.alone:
            Path(f"{path}.manifest.json").unlink()
        with path.open("r+b") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(OSError, match="lock"):
                h5py.File(path, "r").close()
            ask(path, fresh(wide, seed=9), right=right)


def test_h5py_decode(judge: Judge, golden: Any, tmp_path: Path) -> None:
    """Attributes are bytes in some versions of h5py and str in others."""
    case = golden("dense_3")
    for kind in (np.bytes_, str):
        path = tmp_path / f"{kind.__name__}.h5"
        shutil.copy(case.path(".h5"), path)
        with h5py.File(path, "r+") as file:
            _respell(file, kind)
            _respell(file["model_weights"], kind)
            for group in file["model_weights"].values():
                _respell(group, kind)
        judge.alone(path, right=case.right)


def _respell(group: Any, kind: Any) -> None:
    for name, value in list(group.attrs.items()):
        texts = np.atleast_1d(value)
        if texts.dtype.kind in "SO" and texts.size:
            plain = [t.decode() if isinstance(t, bytes) else str(t) for t in texts]
            changed = [np.bytes_(t.encode()) if kind is np.bytes_ else t for t in plain]
            data = changed if np.ndim(value) else changed[0]
            dtype = None if kind is np.bytes_ else h5py.string_dtype()
            del group.attrs[name]
            group.attrs.create(name, data, dtype=dtype)
