"""The JSON Schema in the package says what `Manifest` writes and reads."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import pytest

from kerasguard.errors import ManifestError, UnsupportedManifestError
from kerasguard.manifest import FEATURES, SCHEMA, FileRecord, Manifest, MemberRecord
from kerasguard.tensors import Box, Extent, LayerRecord, Shard, Table, TensorRecord, TensorSpec, Use

FULL = Manifest(
    format="keras_zip",
    files=(
        FileRecord(
            "größe.keras", 1234, "0" * 64, "xxh3:" + "1" * 32,
            (MemberRecord("config.json", 12, 2**32 - 1),),
        ),
    ),
    table=Table(
        {
            "layers/dense/vars/0": TensorRecord(
                "layers/dense/vars/0", TensorSpec((3, 4), "float32"), name="head/kernel",
                variable="kernel", layer="layers/dense", trainable=True, digest="xxh3:" + "2" * 32,
                nonfinite=0, extent=Extent("größe.keras", 64, 48), attribute="parts[0]",
                stored_as="tree/kernel", shard=Shard(0, 2, "xxh3:" + "4" * 32),
                boxes=(Box((0, 0), (1, 1), "xxh3:" + "5" * 32),),
            ),
            "optimizer/vars/1": TensorRecord(
                "optimizer/vars/1", TensorSpec((), "bfloat16"), role="optimizer", slot="momentum",
                slot_of="layers/dense/vars/0",
            ),
        },
        {
            "layers/input": LayerRecord("layers/input", "x", "InputLayer", "", ((),), 0),
            "layers/dense": LayerRecord(
                "layers/dense", "head", "Dense", "abc", ((("layers/input", 0, 0),),), 1,
                "parts[query]",
                Use(('["~",2.5]',), ((("layers/input", 0, 0),),), "float32", ("parts[query]",),
                    {"scale": "2"}, built=False),
                trainable=False,
            ),
        },
        ends={"": ((("layers/input", 0, 0),), (("layers/dense", 0, 0),))},
        use=Use(settings={"scale": "2"}),
    ),
    unwritten=(
        TensorRecord("seed", TensorSpec((2,), "uint32"), role="seed"),
        TensorRecord("total", TensorSpec((), "float32"), role="metric", data=b"\0\0\x80?"),
    ),
    companion=FileRecord("größe.keras.companion-c0ffee00.safetensors", 136, "3" * 64, "xxh3:0"),
    architecture={"class_name": "Functional", "config": {"layers": []}},
    model={"class": "Functional", "name": "m", "config_digest": "abc"},
    optimizer={"class": "Adam", "slots": ["momentum"], "iterations": 3},
    versions={"keras": "3.15.1"},
    environment={"dtype_policy": "float32", "strategy": "MultiWorkerMirroredStrategy",
                 "replicas": 2, "workers": 3},
    training={"epoch": 1, "step": 20, "metrics": {"loss": float("nan"), "accuracy": 0.5}},
    checkpoint_id="c0ffee",
    previous_id="0ff1ce",
    probe={"seed": 0},
    requires=("companion",),
)  # fmt: skip
SMALL = Manifest("weights_h5", (), Table({}))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    text = resources.files("kerasguard").joinpath("manifest.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


@pytest.mark.parametrize("manifest", [FULL, SMALL], ids=["full", "small"])
def test_what_a_manifest_writes_fits_the_schema(manifest: Manifest, schema: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(manifest.to_json()), schema)


def test_the_schema_names_exactly_the_fields_that_a_manifest_writes(
    schema: dict[str, Any],
) -> None:
    data = json.loads(FULL.to_json())
    parts = schema["$defs"]
    assert set(schema["properties"]) == set(data)
    assert set(parts["file"]["properties"]) == set(data["files"][0])
    assert set(parts["member"]["properties"]) == set(data["files"][0]["members"][0])
    tensors = [*data["tensors"], *data["unwritten"]]
    assert set(parts["tensor"]["properties"]) == {k for t in tensors for k in t}
    assert set(parts["layer"]["properties"]) == {k for r in data["layers"] for k in r}
    assert set(parts["use"]["properties"]) == {k for r in data["layers"] for k in r.get("use", ())}
    assert schema["properties"]["schema"]["const"] == SCHEMA


def test_what_older_versions_did_not_write_has_a_version_and_is_not_demanded(
    schema: dict[str, Any],
) -> None:
    old = {name for name, told in schema["properties"].items() if "since" not in told}
    assert set(schema["required"]) == old
    for part in schema["$defs"].values():
        newer = {name for name, told in part.get("properties", {}).items() if "since" in told}
        assert not newer & set(part.get("required", ()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema",), "kerasguard/manifest/2"),
        (("format",), 3),
        (("files",), {}),
        (("files", 0, "size"), -1),
        (("files", 0, "members", 0, "crc32"), "0"),
        (("tensors", 0, "shape"), [3, -4]),
        (("tensors", 0, "shape"), "3"),
        (("tensors", 0, "role"), "passenger"),
        (("tensors", 0, "trainable"), "yes"),
        (("layers", 0, "key"), None),
        (("layers", 1, "use", "arguments"), [3]),
        (("layers", 1, "use", "settings"), {"scale": 2}),
        (("layers", 1, "use", "graph"), [[["layers/input", 0]]]),
        (("ends", ""), [[["layers/input", 0]]]),
        (("companion",), []),
        (("companion", "size"), -1),
        (("versions",), []),
        (("previous_id",), 7),
    ],
    ids=lambda value: str(value),
)
def test_what_the_schema_refuses_the_reader_refuses(
    place: tuple[str | int, ...], value: object, schema: dict[str, Any]
) -> None:
    data = FULL.to_dict()
    target: Any = data
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema)
    with pytest.raises(ManifestError) as caught:
        Manifest.from_dict(data)
    assert caught.value.where.startswith(str(place[0]))


def test_fields_that_another_version_added_are_kept_at_every_place(schema: dict[str, Any]) -> None:
    data = FULL.to_dict()
    parts = [data[name][0] for name in ("files", "tensors", "layers", "unwritten")]
    places = (data, *parts, data["files"][0]["members"][0], data["companion"], data["model"])
    for place in places:
        place["colour"] = {"of": ["the sea", 1]}
    jsonschema.validate(data, schema)
    read = Manifest.from_dict(data)
    assert read.to_dict() == data
    assert Manifest.from_dict(read.to_dict()) == read
    assert read != FULL


def test_a_feature_that_this_version_does_not_know_is_refused_by_name() -> None:
    data = {**FULL.to_dict(), "requires": ["companion", "entanglement"]}
    data["versions"] = {"kerasguard": "9.1.0"}
    with pytest.raises(UnsupportedManifestError, match=r"'entanglement'.*kerasguard 9\.1\.0"):
        Manifest.from_dict(data)
    with pytest.raises(ManifestError, match="list of names"):
        Manifest.from_dict({**data, "requires": [3]})


def test_the_schema_describes_every_feature(schema: dict[str, Any]) -> None:
    described = schema["properties"]["requires"]["description"]
    assert all(f"{name} ({meaning})" in described for name, meaning in FEATURES.items())


def test_every_changed_bit_of_a_manifest_is_found() -> None:
    content = replace(FULL, architecture={"config": {"epsilon": 0.001}}).to_json().encode()
    manifest = Manifest.from_json(content.decode())
    for place in range(len(content) * 8):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        try:
            found = Manifest.from_json(changed.decode())
        except (ManifestError, UnicodeDecodeError):
            continue
        assert found == manifest, changed[max(place // 8 - 40, 0) : place // 8 + 40]


def test_line_ends_and_indentation_are_no_change() -> None:
    data = json.loads(FULL.to_json())
    for text in (json.dumps(data, indent=2), json.dumps(data, indent=1).replace("\n", "\r\n")):
        assert Manifest.from_json(text).to_json() == FULL.to_json()


def test_a_manifest_that_lost_its_digest_is_refused_and_one_of_0_1_0_is_not() -> None:
    data = json.loads(FULL.to_json())
    del data["digest"]
    with pytest.raises(ManifestError, match="edited or damaged"):
        Manifest.from_json(json.dumps(data))
    del data["requires"]
    assert Manifest.from_json(json.dumps(data)).checkpoint_id == FULL.checkpoint_id
