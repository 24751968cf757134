"""The parts of a manifest and their JSON form: files and tensors."""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from kerasguard.errors import ManifestError
from kerasguard.manifest.nodes import Node, others
from kerasguard.tensors import Box, Extent, Role, Shard, TensorRecord, TensorSpec

__all__ = [
    "FileRecord",
    "MemberRecord",
    "file_from",
    "file_to_dict",
    "plain",
    "tensor_from",
    "tensor_to_dict",
]

_ROLES = get_args(Role)


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """One member of a zip file: its name, size in bytes and CRC-32.

    No SHA-256 of its own: the whole file's covers it, and a second pass over the weights would
    cost as much as the first.
    """

    name: str
    size: int
    crc32: int
    extra: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a checkpoint.

    Args:
        name: relative to the checkpoint's folder, `/` between parts.
        size: in bytes.
        sha256: of the whole file, hexadecimal; empty where the caller wanted none.
        skeleton: digest of the bytes outside all recorded extents, in ascending order. With the
            tensors' digests it covers every byte once, so a load verifies what it reads and
            nothing is read twice.
        members: of a zip file.
        extra: fields that this version does not know; kept.
    """

    name: str
    size: int
    sha256: str
    skeleton: str
    members: tuple[MemberRecord, ...] = ()
    extra: Mapping[str, Any] | None = field(default=None, hash=False)


def plain(value: Any) -> Any:
    """`value` in JSON's own types; NaN and infinities as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    item = getattr(value, "item", None)
    return plain(item()) if callable(item) else str(value)


_MEMBER_FIELDS = ("name", "size", "crc32")
_FILE_FIELDS = ("name", "size", "sha256", "skeleton")


def file_to_dict(record: FileRecord, *, whole: bool = True) -> dict[str, Any]:
    """JSON form of a file record; `whole` as for `file_from`."""
    data = {name: getattr(record, name) for name in _FILE_FIELDS}
    if not whole and not record.sha256:
        del data["sha256"]
    if record.members:
        data["members"] = [
            {name: getattr(m, name) for name in _MEMBER_FIELDS} | dict(m.extra or {})
            for m in record.members
        ]
    return {**data, **(record.extra or {})}


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
    ("attribute", ""),
    ("stored_as", ""),
)
_TEXTS = ("name", "variable", "layer", "slot", "slot_of", "attribute", "stored_as")
_KNOWN_OF_MEMBERS = frozenset(_MEMBER_FIELDS)
_KNOWN_OF_FILES = frozenset({*_FILE_FIELDS, "members"})
_KNOWN_OF_TENSORS = frozenset(
    {
        *("key", "shape", "dtype", "file", "offset", "length", "data", "shard", "boxes"),
        *(name for name, _ in _OPTIONAL),
    }
)


def tensor_to_dict(record: TensorRecord) -> dict[str, Any]:
    """JSON form of a tensor record; what has its default is left out."""
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
    if record.shard is not None:
        s = record.shard
        data["shard"] = {"index": s.index, "count": s.count, "whole": s.whole}
    if record.boxes:
        data["boxes"] = [
            {"start": list(box.start), "shape": list(box.shape), "digest": box.digest}
            for box in record.boxes
        ]
    if record.data is not None:
        data["data"] = b64encode(record.data).decode()
    return {**data, **record.extra} if record.extra else data


def file_from(node: Node, *, whole: bool = True) -> FileRecord:
    """Inverse of `file_to_dict`; raises ManifestError.

    Args:
        node: the record.
        whole: whether it must have a SHA-256.
    """
    members = tuple(
        MemberRecord(
            m.get("name", str), m.natural("size"), m.natural("crc32"), others(m, _KNOWN_OF_MEMBERS)
        )
        for m in (node.items("members") if "members" in node.value else ())
    )
    return FileRecord(
        node.get("name", str),
        node.natural("size"),
        node.get("sha256", str) if whole else node.get("sha256", str, default=""),
        node.get("skeleton", str),
        members,
        others(node, _KNOWN_OF_FILES),
    )


def tensor_from(node: Node) -> TensorRecord:
    """Inverse of `tensor_to_dict`; raises ManifestError."""
    shape = node.get("shape", list)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise ManifestError(
            f"shape must be a list of non-negative integers, got {shape!r:.80}",
            where=f"{node.where}.shape",
        )
    spec = TensorSpec(tuple(shape), node.get("dtype", str))
    node.build(lambda: spec.nbytes)
    role = node.get("role", str, default="weight")
    if role not in _ROLES:
        raise ManifestError(f"unknown role {role!r}", where=f"{node.where}.role")
    extent = None
    if "file" in node.value:
        extent = Extent(node.get("file", str), node.natural("offset"), node.natural("length"))
    text = {n: node.get(n, str, default="") for n in _TEXTS}
    return TensorRecord(
        node.get("key", str),
        spec,
        role=role,
        trainable=node.get("trainable", bool, default=None),
        digest=node.get("digest", str, default=None),
        nonfinite=node.get("nonfinite", int, default=None),
        extent=extent,
        data=_data_from(node, spec.nbytes),
        shard=_shard_from(node),
        boxes=tuple(_boxes_from(node, spec)),
        extra=others(node, _KNOWN_OF_TENSORS),
        **text,
    )


def _shard_from(node: Node) -> Shard | None:
    if "shard" not in node.value:
        return None
    part = Node(node.value["shard"], f"{node.where}.shard")
    found = Shard(part.natural("index"), part.natural("count"), part.get("whole", str))
    if found.index >= found.count:
        raise ManifestError(f"is number {found.index} of {found.count}", where=part.where)
    return found


def _boxes_from(node: Node, whole: TensorSpec) -> Iterator[Box]:
    """The boxes of a tensor; raises ManifestError where one is not inside it."""
    for number, item in enumerate(node.get("boxes", list, default=[])):
        part = Node(item, f"{node.where}.boxes[{number}]")
        start, shape = part.get("start", list), part.get("shape", list)
        natural = all(type(n) is int and n >= 0 for n in (*start, *shape))
        if not (natural and len(start) == len(shape) == len(whole.shape)) or any(
            first + size > all_ for first, size, all_ in zip(start, shape, whole.shape, strict=True)
        ):
            raise ManifestError("is not a part of the tensor", where=part.where)
        yield Box(tuple(start), tuple(shape), part.get("digest", str))


def _data_from(node: Node, size: int) -> bytes | None:
    """The bytes of a tensor that the manifest holds itself; raises ManifestError."""
    text = node.get("data", str, default=None)
    if text is None:
        return None
    data = node.build(lambda: b64decode(text, validate=True))
    if len(data) != size:
        what = f"holds {len(data)} bytes, but its shape and dtype need {size}"
        raise ManifestError(what, where=f"{node.where}.data")
    return data
