"""The companion: what Keras does not write, kept in one file beside checkpoint and manifest.

`07.keras` may have `07.keras.companion-1f0c63e2.safetensors`. The digits are the start of the
checkpoint's id, so a save never touches the companion of the one before: whichever manifest
survives a kill finds its own. The format is safetensors; the file is described and digested in the
manifest like every other. NumPy is imported by what reads or packs a tensor.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_hexdigest

from kerasguard.errors import CorruptCheckpointError
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import durable
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.storage.strict_json import strict_json
from kerasguard.tensors import Extent, TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from kerasguard.elements import Array

__all__ = [
    "DTYPES",
    "SUFFIX",
    "Companion",
    "described",
    "checkpoint_of",
    "located",
    "name_of",
    "pack",
    "retire",
    "write",
]

SUFFIX = ".safetensors"
_NAME = re.compile(r"(?P<of>.+)(?P<rest>\.companion-[0-9a-f]{8}\.safetensors)", re.DOTALL)
_MAX_HEADER = 1 << 26
_ALIGNMENT = 64
DTYPES = {
    "bool": "BOOL",
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}
"""What safetensors calls the dtypes that a companion can hold."""

_NAMES = {code: name for name, code in DTYPES.items()}


def name_of(checkpoint: str, checkpoint_id: str) -> str:
    """The name of the companion that a save makes.

    Args:
        checkpoint: name of the checkpoint's file or folder, or prefix.
        checkpoint_id: 8 hexadecimal digits or more, random per save.
    """
    return f"{checkpoint}.companion-{checkpoint_id[:8]}{SUFFIX}"


def checkpoint_of(name: str) -> str:
    """The name of the checkpoint beside which a save left a companion of this name; else empty."""
    match = _NAME.fullmatch(name)
    return match["of"] if match else ""


def located(checkpoint: Path, name: str) -> Path:
    """Where the companion of a checkpoint lies that may have been renamed, both in the same way."""
    match = _NAME.fullmatch(name)
    beside = [Path(checkpoint), Path(checkpoint).resolve()]
    names = [name, *(f"{p.name}{match['rest']}" for p in beside if match)]
    places = [p.with_name(n) for p in beside for n in names if "/" not in n and p.name]
    return next((place for place in places if place.is_file()), places[0])


def write(checkpoint: Path, manifest: Manifest | None, content: bytes) -> None:
    """Write the companion that a manifest tells of beside its checkpoint; flushed to the disk."""
    if manifest is not None and manifest.companion is not None:
        durable.write_durably(checkpoint.with_name(manifest.companion.name), content)


def retire(checkpoint: Path, manifest: Manifest | None) -> None:
    """Remove the companions of saves to the same place that are no longer there.

    To be called when checkpoint and manifest are in place, with no other save going on.
    """
    keep = manifest.companion.name if manifest is not None and manifest.companion else None
    for path in checkpoint.parent.iterdir():
        if checkpoint_of(path.name) == checkpoint.name and path.name != keep:
            path.unlink(missing_ok=True)


def described(name: str, content: bytes) -> FileRecord:
    """The record of a companion with this content, as `pack` made it."""
    head = content[: 8 + int.from_bytes(content[:8], "little")]
    return FileRecord(
        name,
        len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        skeleton=f"xxh3:{xxh3_128_hexdigest(head)}",
    )


def pack(arrays: Mapping[str, Array], name: str) -> tuple[bytes, dict[str, Extent]]:
    """The content of a companion.

    Args:
        arrays: by key; of any dtype that Keras variables have.
        name: of the file, for the extents.

    Returns:
        The bytes, and where in them each tensor lies.

    Raises:
        TypeError: safetensors has no name for a dtype.
    """
    import numpy as np

    from kerasguard.elements import numpy_dtype

    header: dict[str, Any] = {}
    parts: list[bytes] = []
    end = 0
    for key, array in arrays.items():
        code = DTYPES.get(array.dtype.name)
        if code is None:
            raise TypeError(f"{key}: no companion can hold {array.dtype.name}")
        little = np.ascontiguousarray(array, dtype=numpy_dtype(array.dtype.name))
        data = little.tobytes()
        header[key] = {
            "dtype": code,
            "shape": list(array.shape),
            "data_offsets": [end, end + len(data)],
        }
        parts.append(data)
        end += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    start = 8 + len(text)
    extents = {
        key: Extent(name, start + entry["data_offsets"][0], len(part))
        for (key, entry), part in zip(header.items(), parts, strict=True)
    }
    return b"".join([len(text).to_bytes(8, "little"), text, *parts]), extents


class Companion:
    """A companion being read; a `TensorSource`.

    Args:
        path: the file.

    Raises:
        CheckpointError: it cannot be opened.
        CorruptCheckpointError: it is no safetensors file as `pack` makes them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = OpenedFile(path)
        try:
            self._entries = self._header()
        except (ValueError, LookupError, TypeError) as error:
            self.file.close()
            raise CorruptCheckpointError(
                path, f"no sound safetensors file ({error}); copy it again, with its checkpoint"
            ) from error
        except BaseException:
            self.file.close()
            raise

    def _header(self) -> dict[str, tuple[TensorSpec, Extent]]:
        length = int.from_bytes(self.file.pread(0, 8), "little")
        if length > min(_MAX_HEADER, self.file.size - 8):
            raise ValueError(f"its header claims {length} bytes")
        stored = strict_json(self.file.pread(8, length).rstrip())
        if not isinstance(stored, dict):
            raise TypeError("its header is no object")
        found = {}
        for key, entry in stored.items():
            spec = TensorSpec(tuple(int(n) for n in entry["shape"]), _NAMES[entry["dtype"]])
            first, last = entry["data_offsets"]
            if last - first != spec.nbytes or first < 0 or 8 + length + last > self.file.size:
                raise ValueError(f"{key} lies at {first} to {last}")
            found[key] = spec, Extent(self.path.name, 8 + length + first, spec.nbytes)
        return found

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every tensor by key."""
        return {key: spec for key, (spec, _) in self._entries.items()}

    def read(self, key: str) -> Array:
        """One tensor."""
        import numpy as np

        from kerasguard.elements import numpy_dtype

        spec, extent = self._entries[key]
        data = np.frombuffer(self.file.pread(extent.offset, extent.length), np.uint8)
        return data.view(numpy_dtype(spec.dtype)).reshape(spec.shape)

    def skeleton(self) -> str:
        """Digest of the bytes outside the tensors."""
        return self.file.skeleton((e.offset, e.length) for _, e in self._entries.values())

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
