"""Every flipped bit of a recorded checkpoint is found, and none is found where there is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from surveyed import is_as_recorded

import kerasguard as kg
from kerasguard import errors, guard
from kerasguard.storage import sidecar

pytestmark = [pytest.mark.keras, pytest.mark.slow]
FLIPS = 2000


def net(units: int = 5) -> keras.Model:
    layers = [keras.layers.Dense(units, name=f"d{i}") for i in range(3)]
    model = keras.Sequential([keras.Input((units,)), *layers, keras.layers.BatchNormalization()])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(8, units)).astype("float32")
    model.fit(x, x, verbose=0)
    return model


def write(model: keras.Model, path: Path) -> Any:
    if path.name.endswith(".weights.h5"):
        return model.save_weights(path)
    if path.name.endswith(".weights.json"):
        return model.save_weights(path, max_shard_size=2e-7)
    return (
        model.save(path, zipped=path.suffix == ".keras")
        if path.suffix != ".h5"
        else model.save(path)
    )


def files_of(path: Path) -> list[Path]:
    """The checkpoint's files, without the manifest."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    found = [p for p in path.parent.iterdir() if not p.name.endswith(".manifest.json")]
    return sorted(p for p in found if p.is_file())


def differs(path: Path) -> bool:
    try:
        return not kg.verify(path).ok
    except errors.KerasguardError:
        return True


def missed(path: Path, flips: list[tuple[Path, int, int]]) -> list[str]:
    """The flips that verification did not notice; every file is put back."""
    result = []
    for file, offset, bit in flips:
        intact = file.read_bytes()
        damaged = bytearray(intact)
        damaged[offset] ^= 1 << bit
        file.write_bytes(damaged)
        if not differs(path):
            result.append(f"{file.name} byte {offset} bit {bit}")
        file.write_bytes(intact)
    return result


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["m.keras", "folder", "m.weights.h5", "m.weights.json", "m.h5"])
def test_random_flips_in_every_format_are_all_found(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    model = net()
    guard.save(lambda target: write(model, target), path, model, strict=True)
    generator = np.random.default_rng(3)
    files = files_of(path)
    sizes = np.array([file.stat().st_size for file in files])
    chosen = generator.choice(len(files), FLIPS, p=sizes / sizes.sum())
    flips = [
        (files[i], int(generator.integers(sizes[i])), int(generator.integers(8))) for i in chosen
    ]
    assert not differs(path)
    assert missed(path, flips) == []
    assert not differs(path)


def test_every_bit_of_a_small_file_matters(tmp_path: Path) -> None:
    """What the quick proof accepts is the verdict, so every bit is put to it; one of eight to all.

    What it does not accept is compared in full, which takes ten times as long.
    """
    path = tmp_path / "m.weights.h5"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    guard.save(lambda target: model.save_weights(target), path, model, strict=True)
    manifest = sidecar.read(path)
    assert manifest is not None
    assert is_as_recorded(path, manifest)
    intact = path.read_bytes()
    assert missed(path, [(path, offset, offset % 8) for offset in range(len(intact))]) == []
    accepted = []
    with path.open("r+b", buffering=0) as file:
        for place in range(8 * len(intact)):
            offset, bit = divmod(place, 8)
            os.pwrite(file.fileno(), bytes([intact[offset] ^ 1 << bit]), offset)
            if is_as_recorded(path, manifest):
                accepted.append(place)
            os.pwrite(file.fileno(), intact[offset : offset + 1], offset)
    assert accepted == []
    assert is_as_recorded(path, manifest)
