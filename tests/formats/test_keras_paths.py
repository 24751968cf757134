"""Tables of weights files in Keras 3's form, as Keras 2.12 to 2.15 wrote it too."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard
from kerasguard.blueprint.architecture import layer_records
from kerasguard.formats.keras_paths import weights_table
from kerasguard.tensors import TensorSpec


def test_metrics_inside_a_layer_are_no_weights() -> None:
    spec = TensorSpec((), "float32")
    keys = ("layers/add_metric/_metrics/mean/vars/0", "layers/dense/vars/0", "metrics/m/vars/0")
    table = weights_table(dict.fromkeys(keys, (spec, None)), {}, None)
    roles = {key: record.role for key, record in table.tensors.items()}
    assert roles == dict(zip(keys, ("metric", "weight", "metric"), strict=True))


def test_a_constant_in_place_of_a_tensor_is_none() -> None:
    calls = [
        ["_CONSTANT_VALUE", -1, "ij,jk->ik", {"inputs": ["x", 0, 0]}],
        ["_CONSTANT_VALUE", -1, [[0.5]], {"y": ["x", 0, 0], "name": None}],
    ]
    layers = [
        {"class_name": "InputLayer", "name": "x", "config": {"name": "x"}, "inbound_nodes": []},
        {"class_name": "TFOpLambda", "name": "f", "config": {"name": "f"}, "inbound_nodes": calls},
    ]
    config: dict[str, Any] = {"layers": layers, "input_layers": [["x", 0, 0]]}
    config["output_layers"] = [["f", 0, 0]]
    records = layer_records({"class_name": "Functional", "config": config})
    (calls_of,) = (r.inbound for r in records.values() if r.name == "f")
    assert calls_of == ((("layers/input_layer", 0, 0),),) * 2


@pytest.mark.keras
def test_a_layer_whose_class_has_another_name_today_is_found(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    shape = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 2], "name": "x"}}
    layers: list[Any] = [shape]
    weights, stream = {}, io.BytesIO()
    for rank, kind in enumerate(("SyncBatchNormalization", "BatchNormalization")):
        layers.append({"class_name": kind, "config": {"name": f"norm_{rank}", "epsilon": 0.0}})
        weights[("sync_", "")[rank] + "batch_normalization"] = rank + 1.0
    with h5py.File(stream, "w") as file:
        for name, value in weights.items():
            for index in range(4):
                file[f"_layer_checkpoint_dependencies/{name}/vars/{index}"] = np.full(2, value)
    sequential = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(sequential))
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.12.0"}))
        archive.writestr("model.weights.h5", stream.getvalue())
    model = kerasguard.load(tmp_path / "old.keras", repair="lossy")
    assert [float(layer.gamma[0]) for layer in model.layers] == [1.0, 2.0]
