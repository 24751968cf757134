"""`.safetensors`: one file and one entry, and every job knows it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import kerasguard as kg
from kerasguard.checkpoints.scan import scan
from kerasguard.errors import (
    ArchitectureError,
    CheckpointError,
    CorruptCheckpointError,
    UnknownFormatError,
    UnrepairableError,
)
from kerasguard.formats import open_checkpoint

keras = pytest.importorskip("keras")
pytest_plugins = ("mlflow_store",)
pytestmark = pytest.mark.keras


def build(units: int = 2) -> Any:
    layers = keras.layers
    body = [layers.Dense(4, name="body"), layers.BatchNormalization(name="norm")]
    return keras.Sequential([keras.Input((3,)), *body, layers.Dense(units, name="head")])


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, np.ndarray]:
    """Weights by the paths of their variables, written by the format's own library."""
    arrays = {v.path: np.asarray(v) + 1 for v in build().weights}
    safetensors.numpy.save_file(arrays, tmp_path / "w.safetensors", metadata={"epoch": "7"})
    return arrays


def test_weights_load_into_the_model_whose_variables_they_name(
    tmp_path: Path, weights: dict[str, np.ndarray]
) -> None:
    model = kg.load(tmp_path / "w.safetensors", build())
    for variable, array in zip(model.weights, weights.values(), strict=True):
        np.testing.assert_array_equal(np.asarray(variable), array)


def test_it_is_recorded_verified_and_scanned(
    tmp_path: Path, weights: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "w.safetensors"
    assert [(f.format, f.state) for f in scan(tmp_path)] == [("safetensors", "unrecorded")]
    with pytest.raises(ArchitectureError, match="no architecture"):
        kg.load(path)
    kg.record(path, build())
    assert kg.verify(path).ok
    assert [f.state for f in scan(tmp_path)] == ["intact"]
    assert len(kg.load(path).weights) == len(weights)  # the manifest has the architecture
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)
    assert [f.state for f in scan(tmp_path)] == ["differs"]
    with pytest.raises(UnrepairableError, match="KG302"):
        kg.load(path, build())


@pytest.mark.usefixtures("weights")
def test_another_shape_is_refused(tmp_path: Path) -> None:
    model = build(units=3)
    before = [np.asarray(v) for v in model.weights]
    with pytest.raises(UnrepairableError, match="head/kernel"):
        kg.load(tmp_path / "w.safetensors", model)
    for old, variable in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, np.asarray(variable))


def test_names_with_dots_are_levels(tmp_path: Path) -> None:
    path = tmp_path / "torch.safetensors"
    arrays = {"encoder.0.weight": np.ones((2, 3), "float32"), "scale": np.ones((), "float16")}
    safetensors.numpy.save_file(arrays, path)
    with open_checkpoint(path) as checkpoint:
        table = checkpoint.table()
        assert table.tensors["encoder.0.weight"].layer == "encoder.0"
        assert table.tensors["encoder.0.weight"].variable == "weight"
        np.testing.assert_array_equal(checkpoint.read("scale"), arrays["scale"])


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},  # beyond the end
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}},  # another size
        {"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1] * 33, "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2**62, 2**62, 0], "data_offsets": [0, 0]}},
        {"a": {"dtype": "F32", "data_offsets": [0, 4]}},
        {"a": 1},
    ],
)
def test_a_header_that_contradicts_the_file_is_refused(
    tmp_path: Path, header: dict[str, object]
) -> None:
    path = tmp_path / "w.safetensors"
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(CorruptCheckpointError, match="safetensors"):
        open_checkpoint(path)


@pytest.mark.mlflow
@pytest.mark.filterwarnings("default")  # MLflow and its libraries warn of one another
@pytest.mark.usefixtures("weights")
def test_it_comes_down_from_an_mlflow_run(tmp_path: Path, local_mlflow: Any) -> None:
    kg.record(tmp_path / "w.safetensors")
    with local_mlflow.start_run() as run:
        for path in tmp_path.glob("w.safetensors*"):
            local_mlflow.log_artifact(str(path), "weights")
    model = kg.load(f"runs:/{run.info.run_id}/weights", build(), manifest="require")
    assert model.count_params() > 0


@pytest.mark.parametrize("code", ["F8_E4M3FNUZ", "F8_E8M0", "F4", "C64"])
def test_a_dtype_that_no_variable_has_is_no_damage(tmp_path: Path, code: str) -> None:
    header = {"head/kernel": {"dtype": code, "shape": [4], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(CheckpointError, match=f"head/kernel: its dtype is {code}") as caught:
        kg.read(path)
    assert not isinstance(caught.value, CorruptCheckpointError)


def test_what_torch_save_wrote_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\2}.")
    with pytest.raises(
        UnknownFormatError, match=r"written by torch\.save.*save_file\(net\.state_dict"
    ):
        kg.read(path, layout="torch")
