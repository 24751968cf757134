"""Weights whose axes, gates or order were others in older versions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from class_judge import Judge, fresh, predicts, recorded, seq

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:.*HDF5 file")]


def rewritten(path: Path, change: Callable[[Any], None], folder: Path) -> Path:
    """A copy of a legacy file in which `change` was made."""
    target = folder / path.name
    shutil.copy(path, target)
    with h5py.File(target, "r+") as file:
        change(file)
    return target


def datasets(group: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    group.visititems(lambda n, o: found.update({n: o}) if isinstance(o, h5py.Dataset) else None)
    return found


def replace(group: Any, layer: str, named: dict[str, Any]) -> None:
    """Give a layer of a legacy file other tensors."""
    del group[layer]
    made = group.create_group(layer)
    made.attrs["weight_names"] = [name.encode() for name in named]
    for name, value in named.items():
        made.create_dataset(name, data=value)


def test_theano_flip(judge: Judge, golden: Any, tmp_path: Path) -> None:
    case = golden("conv")

    def turn(file: Any) -> None:
        for group in (file, file["model_weights"]) if "model_weights" in file else (file,):
            group.attrs["backend"] = np.bytes_(b"theano")
        for data in datasets(file).values():
            if data.ndim == 4:
                data[...] = data[...][::-1, ::-1]

    judge.alone(rewritten(case.path(".h5"), turn, tmp_path), right=case.right)
    build = lambda: seq(  # noqa: E731
        layers.Conv2D(3, 3, activation="tanh"), layers.Conv2DTranspose(2, 3), shape=(6, 6, 2)
    )
    path = rewritten(case.path("_weights.h5"), turn, tmp_path)
    judge.alone(path, fresh(build), right=case.right)


def test_keras1_conversion_dropped(judge: Judge, golden: Any, tmp_path: Path) -> None:
    """Keras 1 kept the kernels of a Deconvolution2D with inputs and outputs the other way round."""
    case = golden("conv")

    def age(file: Any) -> None:
        for name in ("keras_version", "backend"):
            file.attrs.pop(name, None)
        (name,) = [n for n in datasets(file) if "transpose" in n and "kernel" in n]
        kernel = file[name][...].transpose(0, 1, 3, 2)
        del file[name]
        file[name] = kernel

    path = rewritten(case.path("_weights.h5"), age, tmp_path)
    build = lambda: seq(  # noqa: E731
        layers.Conv2D(3, 3, activation="tanh"), layers.Conv2DTranspose(2, 3), shape=(6, 6, 2)
    )
    judge.alone(path, fresh(build), right=case.right)


def lstm() -> Any:
    return seq(layers.LSTM(3, name="lstm_1"), shape=(5, 4))


def test_keras1_lstm_12(judge: Judge, tmp_path: Path) -> None:
    model = fresh(lstm)
    x = np.random.default_rng(3).normal(size=(2, 5, 4)).astype("float32")
    model.save(tmp_path / "m.h5")
    w, u, b = (a.numpy() for a in model.layers[0].weights)
    named: dict[str, Any] = {}
    for index, gate in enumerate("ifco"):  # Keras 3: i f c o; Keras 1 wrote i c f o
        columns = slice(3 * index, 3 * index + 3)
        named[gate] = {"W": w[:, columns], "U": u[:, columns], "b": b[columns]}
    flat = {f"lstm_1_{kind}_{gate}": named[gate][kind] for gate in "icfo" for kind in "WUb"}

    path = aged(tmp_path / "m.h5", flat, tmp_path / "old", version=None)
    judge.alone(path, fresh(lstm, seed=9), right=predicts(x, model(x)))


def aged(path: Path, named: dict[str, Any], folder: Path, version: bytes | None = b"2.2.4") -> Path:
    """A whole-model file with other tensors for layer `g`, as an older Keras wrote it."""
    folder.mkdir()

    def age(file: Any) -> None:
        for group in (file, file["model_weights"]):
            for name in ("keras_version", "backend") if version is None else ("keras_version",):
                group.attrs.pop(name, None)
            if version is not None:
                group.attrs["keras_version"] = version
        (layer,) = file["model_weights"].attrs["layer_names"][-1:]
        replace(file["model_weights"], layer if isinstance(layer, str) else layer.decode(), named)

    return rewritten(path, age, folder)


def transposed_gates(array: Any, count: int, units: int) -> Any:
    """cuDNN keeps each gate's kernel transposed inside the same shape."""
    parts = np.split(array, count, axis=-1)
    return np.concatenate([p.T.reshape(p.shape, order="C") for p in parts], axis=-1)


def test_cudnn_lstm(judge: Judge, tmp_path: Path) -> None:
    model = fresh(lstm)
    x = np.random.default_rng(3).normal(size=(2, 5, 4)).astype("float32")
    model.save(tmp_path / "m.h5")
    w, u, b = (a.numpy() for a in model.layers[0].weights)
    named = {
        "g/kernel": transposed_gates(w, 4, 3),
        "g/recurrent_kernel": np.concatenate([p.T for p in np.split(u, 4, -1)], -1),
        "g/bias": np.concatenate([b * 0.25, b * 0.75]),
    }
    path = aged(tmp_path / "m.h5", named, tmp_path / "old")
    judge.alone(path, fresh(lstm, seed=9), right=predicts(x, model(x), 1e-4))


def test_cudnn_gru(judge: Judge, tmp_path: Path) -> None:
    build = lambda: seq(layers.GRU(3, name="gru_1"), shape=(5, 4))  # noqa: E731
    model = fresh(build)
    x = np.random.default_rng(3).normal(size=(2, 5, 4)).astype("float32")
    model.save(tmp_path / "m.h5")
    w, u, b = (a.numpy() for a in model.layers[0].weights)
    named = {
        "g/kernel": transposed_gates(w, 3, 3),
        "g/recurrent_kernel": np.concatenate([p.T for p in np.split(u, 3, -1)], -1),
        "g/bias": b.reshape(-1),
    }
    path = aged(tmp_path / "m.h5", named, tmp_path / "old")
    judge.alone(path, fresh(build, seed=9), right=predicts(x, model(x), 1e-4))


def test_gru_reset_after(judge: Judge, golden: Any) -> None:
    case = golden("gru_reset_false")
    error = judge.alone(case.path("_weights.h5"), seq(layers.GRU(3, name="g"), shape=(5, 3)))
    assert "reset_after=False" in str(error)
    model = seq(layers.GRU(3, reset_after=False, name="g"), shape=(5, 3))
    judge.alone(case.path("_weights.h5"), model, right=case.right, instead="right")
    judge.alone(case.path(".h5"), right=case.right, instead="right")


def nested(frozen: bool) -> Any:
    """Two normalisations of one shape in a nested model; the first may be frozen."""
    parts = [layers.BatchNormalization(name="n1"), layers.BatchNormalization(name="n2")]
    parts[0].trainable = not frozen
    base = keras.Sequential([keras.Input((4,)), *parts], name="base")
    i = keras.Input((4,))
    return keras.Model(i, base(i))


def test_frozen_nested_order(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    case = golden("nested_batchnorm")
    for frozen in (False, True):
        judge.alone(case.path("_weights.h5"), fresh(nested, frozen), right=case.right)
    model = fresh(nested, True)
    right = predicts(x, model(x))
    path = recorded(model, tmp_path / "m.h5")
    judge.recorded(path, fresh(nested, False, seed=9), right=right)
    judge.recorded(path, right=right)


def test_skip_mismatch(judge: Judge, tmp_path: Path) -> None:
    """There is nothing like `skip_mismatch`: what does not fit is refused and named."""

    def build(units: int) -> Any:
        return seq(layers.Dense(4, name="body"), layers.Dense(units, name="head"))

    path = recorded(fresh(build, 3), tmp_path / "m.weights.h5")
    bare = Path(shutil.copy(path, tmp_path / "alone.weights.h5"))
    for ask, file in ((judge.recorded, path), (judge.alone, bare)):
        error = ask(file, fresh(build, 5, seed=9))
        assert "head" in str(error)
