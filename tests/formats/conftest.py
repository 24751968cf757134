"""Checkpoints of every format, small, written by the real writers where there is one here."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.numpy
from format_files import CONFIG, hdf5, zipped


@pytest.fixture(scope="session")
def tensors() -> Mapping[str, np.ndarray]:
    """What the hand-made weights files hold."""
    generator = np.random.default_rng(0)
    return {
        "layers/dense/vars/0": generator.standard_normal((3, 4)).astype("float32"),
        "layers/dense/vars/1": generator.standard_normal(4).astype("float32"),
        "layers/dense_1/vars/0": generator.standard_normal((4, 2)).astype("float32"),
        "layers/dense_1/vars/1": generator.standard_normal(2).astype("float32"),
    }


@pytest.fixture(scope="session")
def weights(tensors: Mapping[str, np.ndarray]) -> bytes:
    """A `.weights.h5` as Keras 3 writes it, without Keras."""
    return hdf5(tensors, names={"layers/dense/vars": "body", "layers/dense_1/vars": "head"})


@pytest.fixture(scope="session")
def archive(weights: bytes) -> bytes:
    """A `.keras` as Keras 3 writes it, without Keras."""
    return zipped(
        {
            "metadata.json": b'{"keras_version": "3.9.0", "date_saved": "2025-01-01@00:00:00"}',
            "config.json": json.dumps(CONFIG).encode(),
            "model.weights.h5": weights,
        }
    )


@pytest.fixture
def hdf5_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file with `build(h5py.File)`; a sound Keras dataset is in it already."""

    def write(build: Callable[[h5py.File], None], **options: Any) -> Path:
        path = tmp_path / "made.weights.h5"
        with h5py.File(path, "w", **options) as file:
            file["layers/dense/vars/0"] = np.ones((2, 3), "float32")
            build(file)
        return path

    return write


@pytest.fixture
def no_descriptor_is_left_open() -> Iterator[None]:
    """Fails if a test leaves files open."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc")
    before = len(list(folder.iterdir()))
    yield
    assert len(list(folder.iterdir())) == before


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """By format, a checkpoint of one and the same model as its real writer writes it."""
    keras = pytest.importorskip("keras")
    tensorflow = pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("golden")
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.Dense(4, name="body"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dropout(0.1, name="drop"),
            keras.layers.Dense(2, name="head"),
        ],
        name="net",
    )
    model.compile("adam", "mse", run_eagerly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
        model.save(folder / "m.keras")
        model.save(folder / "m.h5")
        model.save_weights(folder / "m.weights.h5")
        model.save_weights(folder / "s.weights.json", max_shard_size=100 / 1024**3)
        model.save(folder / "unpacked", zipped=False)
        value = tensorflow.Variable(model.layers[0].kernel.numpy(), name="kernel")
        module = tensorflow.Module()
        module.kernel = value
        tensorflow.saved_model.save(module, str(folder / "saved"))
        prefix = tensorflow.train.Checkpoint(v=value).write(str(folder / "ckpt"))
    arrays = {variable.path: variable.numpy() for variable in model.weights}
    safetensors.numpy.save_file(arrays, folder / "m.safetensors", metadata={"format": "np"})
    np.savez(folder / "m.npz", **arrays)
    # Orbax needs JAX, and nothing else here does.
    shutil.copytree(Path(__file__).parents[1] / "golden" / "orbax", folder / "orbax")
    return {
        "orbax": folder / "orbax" / "0",
        "keras_zip": folder / "m.keras",
        "legacy_h5": folder / "m.h5",
        "weights_h5": folder / "m.weights.h5",
        "sharded_h5": folder / "s.weights.json",
        "keras_directory": folder / "unpacked",
        "tf_checkpoint": Path(prefix),
        "saved_model": folder / "saved",
        "safetensors": folder / "m.safetensors",
        "npz": folder / "m.npz",
    }
