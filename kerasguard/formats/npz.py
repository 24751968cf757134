"""`.npz`: arrays of NumPy, by the path of their variable, or in the order of `model.weights`.

`np.savez(path, **{v.path: v.numpy() for v in model.weights})` names them; `np.savez(path,
*model.get_weights())` calls them `arr_0`, `arr_1`, and they go to the variables in that order, as
`set_weights` would give them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from kerasguard.errors import CheckpointError, CorruptCheckpointError
from kerasguard.formats.variable_paths import table_of
from kerasguard.formats.zip_archive import START as ZIP
from kerasguard.formats.zip_archive import ZipArchive, looks_like_zip
from kerasguard.manifest import MemberRecord
from kerasguard.storage.budget import check_shape, unpacked_limit
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Extent, Table, TensorSpec
from kerasguard.tensors.elements import Array, dtype_name

__all__ = ["Npz"]

_MEMBER, _MARK = ".npy", b"\x93NUMPY"
# NumPy's own headers are some 100 bytes; those of records with many fields are not tensors.
_MAX_HEADER = 1 << 16
# Whatever a literal that is none, or that no array has, ends in.
_NO_HEADER = (
    LookupError, MemoryError, OverflowError, RecursionError, SyntaxError, TypeError, ValueError
)  # fmt: skip
_LONG = "gG"  # of which no two machines have the same
_LISTED = re.compile(r"arr_[0-9]{1,9}")


class _Header(NamedTuple):
    """What stands before an array's bytes: its dtype, order and shape, and its own length."""

    dtype: np.dtype[Any]
    fortran: bool
    shape: tuple[int, ...]
    length: int


class Npz(Checkpoint):
    """An archive of arrays.

    Args:
        path: the file, whatever its name.

    Raises:
        CheckpointError: it cannot be opened, is damaged, or holds what is not an array of numbers.
    """

    name: ClassVar[str] = "npz"
    traits: ClassVar[Traits] = Traits("variables", general=True, suffixes=(".npz",), starts=ZIP)

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = OpenedFile(self.path)
        try:
            self._archive = ZipArchive(self._file)
            self._headers = {
                name.removesuffix(_MEMBER): self._header(name) for name in self._archive.members
            }
        except BaseException:
            self._file.close()
            raise
        if self._headers and all(map(_LISTED.fullmatch, self._headers)):
            self._headers = dict(sorted(self._headers.items(), key=lambda item: int(item[0][4:])))
            self.traits = replace(self.traits, keys="listed")  # type: ignore[misc]

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a zip archive of nothing but arrays."""
        if not looks_like_zip(path):
            return False
        try:
            with OpenedFile(path) as file:
                members = ZipArchive(file).members
                return bool(members) and all(name.endswith(_MEMBER) for name in members)
        except CheckpointError:
            return False

    def files(self) -> Mapping[str, OpenedFile]:
        """The one file."""
        return {self.path.name: self._file}

    def table(self) -> Table:
        """All arrays; layers from their names."""
        extents = {}
        for name, header in self._headers.items():
            member, spec = self._archive.members[name + _MEMBER], self._spec(header)
            plain = not header.fortran and header.dtype.byteorder in "<=|"
            if member.stored and plain and member.size == header.length + spec.nbytes:
                offset = member.offset + header.length
                extents[name] = Extent(self.path.name, offset, spec.nbytes)
        return table_of(self.specs(), extents)

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every array."""
        return {name: self._spec(header) for name, header in self._headers.items()}

    def read(self, key: str) -> Array:
        """One array, the CRC-32 of its member checked."""
        header = self._headers[key]
        data = self._archive.read(key + _MEMBER, unpacked_limit(self._file.size))
        spec = self._spec(header)
        if len(data) != header.length + spec.nbytes:
            raise self._broken(f"{key} is not as long as its header says")
        flat = np.frombuffer(data, header.dtype, offset=header.length)
        array: Array = flat.reshape(header.shape, order="F" if header.fortran else "C")
        little = array.astype(header.dtype.newbyteorder("<"), order="C")
        return little.reshape(header.shape)

    def architecture(self) -> dict[str, Any] | None:
        """None: arrays tell nothing of what computes with them."""
        return None

    def writer(self) -> dict[str, str]:
        """Nothing is known."""
        return {}

    def member_records(self) -> tuple[MemberRecord, ...]:
        """None: the arrays' digests cover them."""
        return ()

    def verify_container(self) -> list[str]:
        """Members whose bytes have another CRC-32 than the archive tells."""
        return [
            f"{self.path}: {name} does not match the CRC-32 in the archive; copy the file again"
            for name, member in self._archive.members.items()
            if self._archive.crc32(name) != member.crc32
        ]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _header(self, name: str) -> _Header:
        member = self._archive.members[name]
        if member.stored:
            start = self._file.pread(member.offset, min(member.size, _MAX_HEADER))
        else:
            start = self._archive.read(name, unpacked_limit(self._file.size))[:_MAX_HEADER]
        if not start.startswith(_MARK) or len(start) < 10 or start[6] not in (1, 2, 3):
            raise self._broken(f"{name} is not an array")
        width = 2 if start[6] == 1 else 4
        first = 8 + width
        length = first + int.from_bytes(start[8:first], "little")
        try:
            told = ast.literal_eval(start[first:length].decode("utf-8").strip())
            dtype, shape = np.dtype(told["descr"]), tuple(int(n) for n in told["shape"])
            fortran = bool(told["fortran_order"])
            check_shape(TensorSpec(shape, "float32"))
        except _NO_HEADER:
            raise self._broken(f"{name} has no valid header") from None
        if dtype.kind not in "biufc" or dtype.char in _LONG or min(shape, default=0) < 0:
            why = "np.savez does not keep such dtypes" if dtype.kind == "V" else "no numbers"
            raise CheckpointError(
                self.path,
                f"{name.removesuffix(_MEMBER)}: dtype {dtype} ({why}); save it in another form",
            )
        return _Header(dtype, fortran, shape, length)

    def _spec(self, header: _Header) -> TensorSpec:
        return TensorSpec(header.shape, dtype_name(header.dtype))

    def _broken(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(self.path, f"{what}; copy or save the file again")
