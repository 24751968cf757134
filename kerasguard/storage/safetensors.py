"""Safetensors: tensors behind a JSON header, one after the other, as they are in memory.

NumPy is imported by what reads or packs a tensor. Source: the format's description in
https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasguard.errors import CheckpointError, CorruptCheckpointError
from kerasguard.storage.budget import check_shape, excess
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.storage.strict_json import strict_json
from kerasguard.tensors import Extent, TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from kerasguard.tensors.elements import Array

__all__ = ["DTYPES", "Safetensors", "pack"]

_MAX_HEADER = 1 << 26
_ALIGNMENT = 64
# Texts of the writer's own; no tensor.
_METADATA = "__metadata__"
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
"""What safetensors calls the dtypes of Keras."""

_FOREIGN = ("C64", "F4", "F6_E2M3", "F6_E3M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0")
"""What the format has besides, and no Keras variable; any other word is damage."""
_NAMES = {code: name for name, code in DTYPES.items()}


def pack(arrays: Mapping[str, Array], name: str) -> tuple[bytes, dict[str, Extent]]:
    """The content of a safetensors file.

    Args:
        arrays: by key; of any dtype that Keras variables have.
        name: of the file, for the extents.

    Returns:
        The bytes, and where in them each tensor lies.

    Raises:
        TypeError: safetensors has no name for a dtype.
    """
    import numpy as np

    from kerasguard.tensors.elements import numpy_dtype

    header: dict[str, Any] = {}
    parts: list[bytes] = []
    end = 0
    for key, array in arrays.items():
        code = DTYPES.get(array.dtype.name)
        if code is None:
            raise TypeError(f"{key}: safetensors cannot hold {array.dtype.name}")
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


class Safetensors:
    """A safetensors file being read; a `TensorSource`.

    Args:
        path: the file.

    Raises:
        CheckpointError: it cannot be opened.
        CorruptCheckpointError: its header is damaged, or claims what the file does not hold.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = OpenedFile(path)
        try:
            self._entries = self._header()
        except (ValueError, LookupError, TypeError) as error:
            self.file.close()
            raise CorruptCheckpointError(
                path, f"not a valid safetensors file ({error}); copy it again"
            ) from error
        except BaseException:
            self.file.close()
            raise

    def _header(self) -> dict[str, tuple[TensorSpec, Extent]]:
        length = int.from_bytes(self.file.pread(0, 8), "little")
        if length > self.file.size - 8:
            raise ValueError(f"its header claims {length} bytes")
        if over := excess(length, _MAX_HEADER):
            raise ValueError(f"its header has {length} bytes{over}")
        stored = strict_json(self.file.pread(8, length).rstrip(), max_bytes=_MAX_HEADER)
        if not isinstance(stored, dict):
            raise TypeError("its header is not an object")
        found = {}
        for key, entry in stored.items():
            if key == _METADATA:
                continue
            code = entry["dtype"]
            if code in _FOREIGN:
                raise CheckpointError(
                    self.path,
                    f"{key}: its dtype is {code}, which no Keras variable has; save it in another "
                    "where it was written",
                )
            spec = TensorSpec(tuple(int(n) for n in entry["shape"]), _NAMES[code])
            check_shape(spec)
            first, last = entry["data_offsets"]
            if last - first != spec.nbytes or first < 0 or 8 + length + last > self.file.size:
                raise ValueError(f"{key} is at {first} to {last}")
            found[key] = spec, Extent(self.path.name, 8 + length + first, spec.nbytes)
        return found

    def extents(self) -> Mapping[str, Extent]:
        """Where in the file each tensor lies."""
        return {key: extent for key, (_, extent) in self._entries.items()}

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every tensor by key."""
        return {key: spec for key, (spec, _) in self._entries.items()}

    def read(self, key: str) -> Array:
        """One tensor."""
        import numpy as np

        from kerasguard.tensors.elements import numpy_dtype

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
