"""The manifest: the survey at save time, and where it came from.

Canonical JSON: equal content, equal bytes (sorted keys, no spaces, NaN and infinities as
strings). Laws: `Manifest.from_dict(m.to_dict()) == m`, `Manifest.from_json(m.to_json()) == m`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

import xxhash

from kerasguard.errors import ManifestError, UnsupportedManifestError
from kerasguard.tensors import Extent, LayerRecord, Role, Table, TensorRecord, TensorSpec

__all__ = ["SCHEMA", "FileRecord", "Manifest", "MemberRecord"]

SCHEMA = "kerasguard/manifest/1"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """One member of a zip file: its name, size in bytes, CRC-32 and SHA-256 (hexadecimal)."""

    name: str
    size: int
    crc32: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a checkpoint.

    Args:
        name: relative to the checkpoint's folder, `/` between parts.
        size: in bytes.
        sha256: of the whole file, hexadecimal.
        skeleton: digest of the bytes outside all recorded extents, in ascending order. With the
            tensors' digests it covers every byte once, so a load verifies what it reads and
            nothing is read twice.
        members: of a zip file.
    """

    name: str
    size: int
    sha256: str
    skeleton: str
    members: tuple[MemberRecord, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint held when it was saved.

    Args:
        format: of the checkpoint, `keras_zip`.
        files: all files of the checkpoint.
        table: all tensors that the checkpoint holds and the layers of the model.
        unwritten: what the model has and Keras did not write; `spec`, `name` and `role` count.
        architecture: the model's Keras config, where the checkpoint does not hold it.
        model: `class`, `name` and `config_digest`.
        optimizer: `class`, `slots` (names) and `iterations`; empty where there is none.
        versions: of kerasguard, keras, tensorflow, numpy, h5py, python and the backend's name.
        environment: `dtype_policy`, `strategy` (class), `replicas`.
        training: `epoch` and `step` (both counted from 0, as Keras callbacks do) and `metrics`.
        checkpoint_id: random, one per save.
        previous_id: of the checkpoint that lay at the same path before.
        probe: a seeded input and the model's outputs for it.
    """

    format: str
    files: tuple[FileRecord, ...]
    table: Table
    unwritten: tuple[TensorRecord, ...] = ()
    architecture: Mapping[str, Any] | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_id: str = ""
    previous_id: str | None = None
    probe: Mapping[str, Any] | None = None

    @property
    def weights_digest(self) -> str:
        """Digest over key, spec and digest of every weight; equal weights, equal digest."""
        state = xxhash.xxh3_128()
        for key, record in sorted(self.table.tensors.items()):
            if record.role == "weight":
                state.update(f"{key}\0{record.spec}\0{record.digest}\n".encode())
        return f"xxh3:{state.hexdigest()}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form; every value is a str, int, bool, None, list or dict."""
        return {
            "schema": SCHEMA,
            "format": self.format,
            "files": [_file_to_dict(f) for f in self.files],
            "tensors": [_tensor_to_dict(t) for t in self.table.tensors.values()],
            "layers": [_layer_to_dict(r) for r in self.table.layers.values()],
            "addressing": self.table.addressing,
            "unwritten": [_tensor_to_dict(t) for t in self.unwritten],
            **{name: _plain(getattr(self, name)) for name in _PLAIN_FIELDS},
        }

    def to_json(self) -> str:
        """Canonical JSON with a newline at the end."""
        return (
            json.dumps(
                self.to_dict(),
                sort_keys=True,
                separators=(",", ":"),
                ensure_ascii=False,
                allow_nan=False,
            )
            + "\n"
        )

    @staticmethod
    def from_dict(data: object) -> Manifest:
        """Parse the JSON form.

        Raises:
            UnsupportedManifestError: a schema that this version does not read.
            ManifestError: anything missing or of another type; `.where` names the place.
        """
        top = _Node(data, "")
        schema = top.get("schema", str)
        if schema != SCHEMA:
            raise UnsupportedManifestError(
                f"manifest has schema {schema!r}, this kerasguard reads {SCHEMA!r}; upgrade "
                'kerasguard, or load without it by manifest="ignore"',
                where="schema",
            )
        tensors = [_tensor_from(node) for node in top.items("tensors")]
        layers = [_layer_from(node) for node in top.items("layers")]
        if len({t.key for t in tensors}) != len(tensors):
            raise ManifestError("two tensors have the same key", where="tensors")
        addressing = top.get("addressing", str)
        return Manifest(
            format=top.get("format", str),
            files=tuple(_file_from(node) for node in top.items("files")),
            table=Table(
                {t.key: t for t in tensors},
                {r.key: r for r in layers},
                addressing,
            ),
            unwritten=tuple(_tensor_from(node) for node in top.items("unwritten")),
            **{name: top.get(name, *types) for name, types in _PLAIN_FIELDS.items()},
        )

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Parse `to_json`'s result.

        Raises:
            ManifestError: not JSON, a key given twice, or as for `from_dict`.
        """
        try:
            data = json.loads(text, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"manifest is not JSON: {error}") from None
        return Manifest.from_dict(data)


_NONE = type(None)
_PLAIN_FIELDS: dict[str, tuple[type, ...]] = {
    "architecture": (dict, _NONE),
    "model": (dict,),
    "optimizer": (dict,),
    "versions": (dict,),
    "environment": (dict,),
    "training": (dict,),
    "checkpoint_id": (str,),
    "previous_id": (str, _NONE),
    "probe": (dict, _NONE),
}


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object gives the same key twice")
    return result


def _plain(value: Any) -> Any:
    """`value` in JSON's own types; NaN and infinities as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    item = getattr(value, "item", None)
    return _plain(item()) if callable(item) else str(value)


def _file_to_dict(record: FileRecord) -> dict[str, Any]:
    data = {name: getattr(record, name) for name in ("name", "size", "sha256", "skeleton")}
    if record.members:
        data["members"] = [
            {name: getattr(m, name) for name in ("name", "size", "crc32", "sha256")}
            for m in record.members
        ]
    return data


_OPTIONAL: tuple[tuple[str, Any], ...] = (
    ("name", ""),
    ("variable", ""),
    ("layer", ""),
    ("role", "weight"),
    ("trainable", None),
    ("digest", None),
    ("nonfinite", None),
    ("slot", ""),
    ("slot_of", ""),
)


def _tensor_to_dict(record: TensorRecord) -> dict[str, Any]:
    data: dict[str, Any] = {
        "key": record.key,
        "shape": list(record.spec.shape),
        "dtype": record.spec.dtype,
    }
    for name, default in _OPTIONAL:
        value = getattr(record, name)
        if value != default:
            data[name] = value
    if record.extent is not None:
        e = record.extent
        data["file"], data["offset"], data["length"] = e.file, e.offset, e.length
    return data


def _layer_to_dict(record: LayerRecord) -> dict[str, Any]:
    data: dict[str, Any] = {"key": record.key, "name": record.name}
    if record.class_name:
        data["class"] = record.class_name
    if record.config_digest:
        data["config_digest"] = record.config_digest
    if record.inbound is not None:
        data["inbound"] = [[list(source) for source in call] for call in record.inbound]
    if record.position >= 0:
        data["position"] = record.position
    return data


class _Node:
    """A place in the parsed JSON that knows its path, for messages."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ManifestError(f"must be an object, got {type(value).__name__}", where=where)
        self.value, self.where = value, where

    def get(self, name: str, *types: type, default: Any = ...) -> Any:
        value = self.value.get(name, default)
        place = f"{self.where}.{name}" if self.where else name
        if value is ...:
            raise ManifestError("is missing", where=place)
        # bool is an int to isinstance, and never what a number's place should hold.
        if value is not default and (
            not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
        ):
            names = " or ".join(t.__name__ for t in types)
            raise ManifestError(f"must be {names}, got {value!r:.80}", where=place)
        return value

    def items(self, name: str) -> list[_Node]:
        return [
            _Node(v, f"{self.where}{name}[{i}]") for i, v in enumerate(self.get(name, list))
        ]

    def natural(self, name: str) -> int:
        value = self.get(name, int)
        if value < 0:
            raise ManifestError(f"must not be negative, got {value}", where=f"{self.where}.{name}")
        return int(value)

    def build(self, make: Callable[[], T]) -> T:
        try:
            return make()
        except (TypeError, ValueError) as error:
            raise ManifestError(f"is not valid: {error}", where=self.where) from None


def _file_from(node: _Node) -> FileRecord:
    members = tuple(
        MemberRecord(m.get("name", str), m.natural("size"), m.natural("crc32"), m.get("sha256", str))
        for m in (node.items("members") if "members" in node.value else ())
    )
    return FileRecord(
        node.get("name", str),
        node.natural("size"),
        node.get("sha256", str),
        node.get("skeleton", str),
        members,
    )


def _tensor_from(node: _Node) -> TensorRecord:
    shape = node.get("shape", list)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise ManifestError(
            f"shape must be a list of non-negative integers, got {shape!r:.80}",
            where=f"{node.where}.shape",
        )
    spec = TensorSpec(tuple(shape), node.get("dtype", str))
    node.build(lambda: spec.nbytes)
    role = node.get("role", str, default="weight")
    if role not in get_args(Role):
        raise ManifestError(f"unknown role {role!r}", where=f"{node.where}.role")
    extent = None
    if "file" in node.value:
        extent = Extent(node.get("file", str), node.natural("offset"), node.natural("length"))
    text = {n: node.get(n, str, default="") for n in ("name", "variable", "layer", "slot", "slot_of")}
    return TensorRecord(
        node.get("key", str),
        spec,
        role=role,
        trainable=node.get("trainable", bool, default=None),
        digest=node.get("digest", str, default=None),
        nonfinite=node.get("nonfinite", int, default=None),
        extent=extent,
        **text,
    )


def _layer_from(node: _Node) -> LayerRecord:
    calls = node.get("inbound", list, default=None)
    inbound = None
    if calls is not None:
        inbound = node.build(
            lambda: tuple(tuple((str(k), int(n), int(t)) for k, n, t in call) for call in calls)
        )
    return LayerRecord(
        node.get("key", str),
        node.get("name", str),
        node.get("class", str, default=""),
        node.get("config_digest", str, default=""),
        inbound,
        node.get("position", int, default=-1),
    )
