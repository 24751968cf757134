"""The laws of the manifest's docstring, and what a reader does with what it does not know."""

from __future__ import annotations

import json
import math

import pytest

from kerasguard.errors import ManifestError, UnsupportedManifestError
from kerasguard.manifest import Manifest
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec

KERNEL = TensorRecord(
    "layers/dense/vars/0", TensorSpec((2, 3), "float32"), name="head/kernel", layer="layers/dense"
)
TABLE = Table.of([KERNEL], layers={"layers/dense": LayerRecord("layers/dense", "head", "Dense")})


def made(**more: object) -> Manifest:
    return Manifest("weights_h5", (), TABLE, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", [0.25, math.nan, math.inf, -math.inf])
def test_what_is_written_is_read_and_written_again_to_the_byte(loss: float) -> None:
    manifest = made(training={"epoch": 3, "metrics": {"loss": loss}})
    text = manifest.to_json()
    assert Manifest.from_json(text).to_json() == text


@pytest.mark.parametrize("loss", [0.25, math.nan])
def test_a_manifest_that_was_read_is_what_its_dict_says(loss: float) -> None:
    read = Manifest.from_json(made(training={"metrics": {"loss": loss}}).to_json())
    assert Manifest.from_dict(read.to_dict()) == read


def test_equal_content_has_equal_bytes() -> None:
    one = made(versions={"keras": "3", "numpy": "2"})
    other = made(versions={"numpy": "2", "keras": "3"})
    assert one.to_json() == other.to_json()


def test_a_required_feature_that_nobody_knows_is_refused_by_name() -> None:
    data = made().to_dict()
    data["requires"] = ["time-travel"]
    with pytest.raises(UnsupportedManifestError, match="time-travel"):
        Manifest.from_dict(data)


@pytest.mark.parametrize(
    ("field", "value"), [("tensors", 3), ("format", None), ("schema", "other/1")]
)
def test_a_field_of_another_type_is_a_typed_error(field: str, value: object) -> None:
    data = made().to_dict()
    data[field] = value
    with pytest.raises(ManifestError):
        Manifest.from_dict(data)


OTHER: dict[str, object] = {
    "path": "d",
    "holder": "",
    "attribute": "d",
    "entry": None,
    "config": {},
}


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("optimizer", {"others": None}, "optimizer.others"),
        ("optimizer", {"others": ["x"]}, "optimizer.others[0]"),
        ("optimizer", {"others": [{}]}, "optimizer.others[0].path"),
        ("optimizer", {"others": [OTHER | {"attribute": []}]}, "optimizer.others[0].attribute"),
        ("optimizer", {"others": [OTHER | {"entry": [1]}]}, "optimizer.others[0].entry"),
        ("optimizer", {"slots": [3]}, "optimizer.slots"),
        ("versions", {"keras": None}, "versions.keras"),
    ],
)
def test_what_a_load_reads_of_it_is_checked_before(field: str, value: object, where: str) -> None:
    data = made().to_dict()
    data[field] = value
    with pytest.raises(ManifestError) as caught:
        Manifest.from_dict(data)
    assert caught.value.where == where
    assert Manifest.from_dict({**made().to_dict(), "optimizer": {"others": [OTHER]}})


def test_what_is_no_json_is_a_typed_error() -> None:
    for text in ("", "{", "[]", "null", json.dumps({"schema": 1})):
        with pytest.raises(ManifestError):
            Manifest.from_json(text)
