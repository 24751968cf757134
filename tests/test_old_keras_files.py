"""`.keras` files as Keras 2.13 to 2.15 wrote them, made by hand, into Keras 3 models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from format_files import hdf5, zipped  # noqa: E402  needs h5py, which keras does too
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402

pytestmark = MARKS


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "registered_name": None,
    }


def written(
    path: Path,
    shape: Sequence[int],
    inner: Sequence[dict[str, Any]],
    tensors: Mapping[str, np.ndarray],
    **more: Any,
) -> Path:
    start = layer("InputLayer", "x", batch_input_shape=[None, *shape])
    config = {"name": "net", "layers": [start, *inner]}
    whole = {"module": "keras", "class_name": "Sequential", "config": config, **more}
    members = {
        "metadata.json": json.dumps({"keras_version": "2.15.0"}).encode(),
        "config.json": json.dumps(whole).encode(),
        "model.weights.h5": hdf5(tensors),
    }
    path.write_bytes(zipped(members))
    return path


def dense(name: str, units: int) -> dict[str, Any]:
    return layer("Dense", name, units=units)


@pytest.mark.parametrize(("dynamic", "factor"), [(True, None), (False, 128.0)])
def test_a_model_that_was_compiled_to_scale_its_losses_loads(
    tmp_path: Path, dynamic: bool, factor: float | None
) -> None:
    sgd = {"module": "keras.optimizers", "class_name": "SGD", "config": {"learning_rate": 0.5}}
    wrapped = {"inner_optimizer": sgd, "dynamic": dynamic, "initial_scale": 128.0}
    optimizer = {
        "module": "keras.src.mixed_precision.loss_scale_optimizer",
        "class_name": "LossScaleOptimizerV3",
        "config": wrapped,
    }
    tensors = {"layers/dense/vars/0": np.ones((3, 2)), "layers/dense/vars/1": np.zeros(2)}
    path = written(
        tmp_path / "m.keras",
        (3,),
        [dense("head", 2)],
        {key: array.astype("float32") for key, array in tensors.items()},
        compile_config={"optimizer": optimizer, "loss": "mse"},
    )
    found = kg.load(path).optimizer
    assert (type(found).__name__, found.loss_scale_factor) == ("SGD", factor)


def test_only_the_connected_pairs_of_a_locally_connected_layer_load(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x, row, bias = rng.normal(size=(2, 5, 2)), rng.normal(size=48), rng.normal(size=(4, 3))
    local = layer("LocallyConnected1D", "local", filters=3, kernel_size=[2], implementation=3)
    tensors = {
        "layers/locally_connected1d/vars/0": row.astype("float32"),
        "layers/locally_connected1d/vars/1": bias.astype("float32"),
    }
    model = kg.load(written(tmp_path / "m.keras", (5, 2), [local], tensors))
    patches = np.stack([x[:, n : n + 2].reshape(2, 4) for n in range(4)], axis=1)
    expected = np.einsum("bpi,pfi->bpf", patches, row.reshape(4, 3, 4)) + bias
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
