"""The manifest: the survey at save time, and where it came from.

Canonical JSON: equal content, equal bytes (sorted keys, no spaces, NaN and infinities as
strings), with a digest of itself, so that a changed byte is found without a key. Laws:
`Manifest.from_json(m.to_json()).to_json() == m.to_json()`, and for every `m` that was read
`Manifest.from_dict(m.to_dict()) == m`; one that is being made may hold what JSON writes in another
way, such as a loss that is NaN.

The schema's major version changes only where every reader must change. Within it:

- A field may be added at any place. A reader that does not know it keeps it, so what another
  version wrote goes through this one unharmed: `Manifest.from_dict(d).to_dict()` has it again.
- Where whoever ignores an addition would restore something wrong, the addition is a *feature*:
  it has a name in `FEATURES`, and a manifest that makes use of it lists the name under `requires`.
  A reader refuses what it does not know, by name.
- A field that no version wrote before gets a default, so that older manifests are read, and its
  `since` in `manifest.schema.json`.

Start with `Manifest` here; `records` and `layers` read its parts, `schema` what it requires.
Nothing here opens a file: `storage/` knows where a manifest is on disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any

import xxhash

from kerasguard.errors import ManifestError
from kerasguard.manifest.layers import (
    ends_from,
    ends_to_dict,
    layer_from,
    layer_to_dict,
    use_from,
    use_to_dict,
)
from kerasguard.manifest.nodes import Node, others
from kerasguard.manifest.optimizers import check_optimizers
from kerasguard.manifest.records import (
    FileRecord,
    MemberRecord,
    file_from,
    file_to_dict,
    plain,
    tensor_from,
    tensor_to_dict,
)
from kerasguard.manifest.schema import (
    FEATURES,
    SCHEMA,
    canonical,
    crowd,
    digest,
    is_as_digested,
    understood,
    unique_keys,
)
from kerasguard.tensors import Table, TensorRecord

__all__ = ["FEATURES", "SCHEMA", "FileRecord", "Manifest", "MemberRecord"]


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint held when it was saved.

    Args:
        format: of the checkpoint, `keras_zip`.
        files: all files of the checkpoint.
        table: all tensors that the checkpoint holds and the layers of the model.
        unwritten: the model's state that Keras did not write; entries with a digest are kept.
        companion: the file with the state that was kept; None if there is nothing to keep.
        architecture: the model's Keras config, where the checkpoint does not hold it.
        model: `class`, `name` and `config_digest`.
        optimizer: `class`, `slots` (names) and `iterations`; empty where there is none.
        versions: of kerasguard, keras, tensorflow, numpy, h5py, python and the backend's name.
        environment: `dtype_policy`, `strategy` (class), `replicas`.
        training: `epoch` and `step` (both counted from 0, as Keras callbacks do), `metrics`, and
            `complete`, whether the epoch was over.
        checkpoint_id: random, one per save.
        previous_id: of the checkpoint that was at the same path before.
        probe: a seeded input and the model's outputs for it.
        requires: the features without which this checkpoint would be restored incorrectly.
        extra: fields that this version does not know; kept.
    """

    format: str
    files: tuple[FileRecord, ...]
    table: Table
    unwritten: tuple[TensorRecord, ...] = ()
    companion: FileRecord | None = None
    architecture: Mapping[str, Any] | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_id: str = ""
    previous_id: str | None = None
    probe: Mapping[str, Any] | None = None
    requires: tuple[str, ...] = ()
    extra: Mapping[str, Any] | None = field(default=None, hash=False)

    @cached_property
    def kept(self) -> dict[str, TensorRecord]:
        """What the companion, or this manifest itself, holds, by key."""
        return {record.key: record for record in self.unwritten if record.digest is not None}

    @cached_property
    def recorded(self) -> dict[str, TensorRecord]:
        """All tensors that lie in the checkpoint or in its companion, by key."""
        return {**self.table.tensors, **self.kept}

    @property
    def weights_digest(self) -> str:
        """Digest over key, spec and digest of every weight; equal weights, equal digest."""
        state = xxhash.xxh3_128()
        for key, record in sorted(self.recorded.items()):
            if record.role == "weight":
                state.update(f"{key}\0{record.spec}\0{record.digest}\n".encode())
        return f"xxh3:{state.hexdigest()}"

    @property
    def summary(self) -> str:
        """Format, size and origin, on one line."""
        size = sum(record.spec.nbytes for record in self.recorded.values())
        known = f"recorded as {self.checkpoint_id}" if self.checkpoint_id else "not recorded"
        return f"{self.format}, {len(self.recorded)} tensors, {size:,} bytes, {known}"

    def __repr__(self) -> str:
        return f"<Manifest {self.summary}>"

    def rows(self) -> list[dict[str, Any]]:
        """One dict per tensor, as `pandas.DataFrame` takes them."""
        return [
            {
                "tensor": record.label,
                "shape": list(record.spec.shape),
                "dtype": record.spec.dtype,
                "role": record.role,
                "nonfinite": record.nonfinite,
                "digest": record.digest,
                "key": record.key,
            }
            for record in self.recorded.values()
        ]

    def _repr_html_(self) -> str:
        names = ("tensor", "shape", "dtype", "role", "nonfinite")
        rows = ["".join(f"<td>{escape(str(row[n]))}</td>" for n in names) for row in self.rows()]
        more = f"<p>and {len(rows) - 40} more: .rows()</p>" if len(rows) > 40 else ""
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(f"<tr>{row}</tr>" for row in rows[:40])
        return f"<p>{escape(self.summary)}</p><table><tr>{head}</tr>{body}</table>{more}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form; every value is a str, int, bool, None, list or dict."""
        whole = "without-sha256" not in self.requires
        return {
            **(self.extra or {}),
            "schema": SCHEMA,
            "requires": sorted(self.requires),
            "format": self.format,
            "files": [file_to_dict(f, whole=whole) for f in self.files],
            "tensors": [tensor_to_dict(t) for t in self.table.tensors.values()],
            "layers": [layer_to_dict(r) for r in self.table.layers.values()],
            "ends": ends_to_dict(self.table.ends),
            "use": None if self.table.use is None else use_to_dict(self.table.use),
            "addressing": self.table.addressing,
            "unwritten": [tensor_to_dict(t) for t in self.unwritten],
            "companion": None if self.companion is None else file_to_dict(self.companion),
            **{name: plain(getattr(self, name)) for name in _PLAIN_FIELDS},
        }

    def to_json(self) -> str:
        """Canonical JSON with a newline at the end, and with the digest of all else in it."""
        data = self.to_dict()
        return canonical({**data, _DIGEST: digest(data)}) + "\n"

    @staticmethod
    def from_dict(data: object) -> Manifest:
        """Parse the JSON form.

        Raises:
            UnsupportedManifestError: a schema or a feature that this version does not know.
            ManifestError: anything missing or of another type; `.where` names the place.
        """
        top = Node(data, "")
        requires = understood(top)
        tensors = [tensor_from(node) for node in top.items("tensors")]
        layers = [layer_from(node) for node in top.items("layers")]
        if len({t.key for t in tensors}) != len(tensors):
            raise ManifestError("two tensors share a key", where="tensors")
        addressing = top.get("addressing", str)
        companion = top.get("companion", dict, _NONE)
        check_optimizers(Node(top.get("optimizer", dict), "optimizer"))
        versions = Node(top.get("versions", dict), "versions")
        for package in versions.value:
            versions.get(package, str)
        return Manifest(
            format=top.get("format", str),
            files=tuple(
                file_from(node, whole="without-sha256" not in requires)
                for node in top.items("files")
            ),
            table=Table(
                {t.key: t for t in tensors},
                {r.key: r for r in layers},
                addressing,
                ends_from(Node(top.get("ends", dict, default={}), "ends")),
                use_from(top),
            ),
            unwritten=tuple(tensor_from(node) for node in top.items("unwritten")),
            companion=None if companion is None else file_from(Node(companion, "companion")),
            requires=requires,
            extra=others(top, _KNOWN),
            **{name: top.get(name, *types) for name, types in _PLAIN_FIELDS.items()},
        )

    @staticmethod
    def from_json(text: str, *, dense: bool = False) -> Manifest:
        """Parse `to_json`'s result.

        Args:
            text: the JSON.
            dense: take it even if it is little but brackets.

        Raises:
            ManifestError: not JSON, a key given twice, not what its own digest says, or as for
                `from_dict`.
        """
        if not isinstance(text, (str, bytes)):
            raise ManifestError(f"manifest is not JSON: it is {type(text).__name__}, no text")
        count, most = (0, 0) if dense else crowd(text)
        if count > most:
            raise ManifestError(f"manifest has {count} lists and objects; at most {most} are read")
        try:
            data = json.loads(text, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"manifest is not JSON: {error}") from None
        manifest = Manifest.from_dict(data)
        told = data.pop(_DIGEST, None)
        found = told if is_as_digested(text, _DIGEST, told) else digest(data)
        # Manifests of 0.1.0 have neither entry.
        if told != found and (told is not None or "requires" in data):
            raise ManifestError(
                "manifest does not match its own digest: it was edited or damaged; "
                "restore it from a copy, or record the checkpoint again if you trust it",
                where=_DIGEST,
            )
        return manifest


_DIGEST = "digest"
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
_KNOWN = frozenset(
    {
        *("schema", _DIGEST, "requires", "format", "files", "tensors", "layers", "ends", "use"),
        *("addressing", "unwritten", "companion", *_PLAIN_FIELDS),
    }
)
