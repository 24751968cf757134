"""Files that no model can be built from: one typed error that names all, and nothing is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import hdf5, zipped

import kerasguard
from kerasguard.errors import ArchitectureError

pytestmark = pytest.mark.keras

SHAPE = {"batch_input_shape": [None, 3]}
IMAGES = {"filters": 2, "kernel_size": [2, 2], "data_format": "channels_first"}


@pytest.fixture(autouse=True)
def _nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    from kerasguard.models import build

    monkeypatch.setattr(build, "build", lambda *_, **__: pytest.fail("a model was built"))


def file(folder: Path, version: str, *layers: Any, calls: bool = False) -> Path:
    """A `.keras` file of a Sequential model, or of a functional one if it tells calls."""
    config: dict[str, Any] = {"name": "m", "layers": list(layers)}
    if calls:
        ends = layers[0]["name"], layers[-1]["name"]
        config |= {"input_layers": [[ends[0], 0, 0]], "output_layers": [[ends[1], 0, 0]]}
    kind = "Functional" if calls else "Sequential"
    members = {
        "metadata.json": json.dumps({"keras_version": version}).encode(),
        "config.json": json.dumps({"class_name": kind, "config": config}).encode(),
        "model.weights.h5": hdf5({"layers/dense/vars/0": np.ones((3, 2), "float32")}),
    }
    path = folder / "bad.keras"
    path.write_bytes(zipped(members))
    return path


def layer(class_name: str, name: str, *calls: Any, **config: Any) -> dict[str, Any]:
    return {
        "class_name": class_name,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": list(calls),
    }


def error(path: Path) -> str:
    with pytest.raises(ArchitectureError) as refused:
        kerasguard.load(path)
    return str(refused.value)


def test_a_file_that_mixes_versions(tmp_path: Path) -> None:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
    dense = layer("Dense", "d", units=2, activation="hard_sigmoid", dtype=policy, **SHAPE)
    message = error(file(tmp_path, "2.12.0", dense))
    assert "KG443 d: the file says that Keras 2.12.0 wrote it" in message


def test_an_operation_that_is_not_in_the_table(tmp_path: Path) -> None:
    start = layer("InputLayer", "x", **SHAPE)
    call = [["x", 0, 0, {}]]
    unknown = layer("TFOpLambda", "tf.raw.unheard_of", call, function="raw.unheard_of")
    message = error(file(tmp_path, "2.12.0", start, unknown, calls=True))
    assert "KG419" in message
    assert "raw.unheard_of" in message


def test_channels_first_that_cannot_be_converted(tmp_path: Path) -> None:
    message = error(file(tmp_path, "2.12.0", layer("Conv2D", "c", **IMAGES)))
    assert "KG432 c: uses channels_first" in message


def test_all_custom_objects_that_are_missing_at_once(tmp_path: Path) -> None:
    layers = [
        layer("ConvDNA", "first", **SHAPE),
        layer("Dense", "second", units=2, activation="my_function"),
        layer("Rescaled", "third") | {"registered_name": "theirs>Rescaled"},
    ]
    message = error(file(tmp_path, "2.12.0", *layers))
    for name in ("ConvDNA", "my_function", "theirs>Rescaled"):
        assert name in message
    assert message.count("custom_objects=") == 1


def test_everything_that_is_wrong_is_told_in_one_error(tmp_path: Path) -> None:
    layers = [layer("ConvDNA", "first"), layer("Conv2D", "c", **IMAGES)]
    message = error(file(tmp_path, "2.12.0", *layers))
    assert "KG425" in message
    assert "KG432" in message
