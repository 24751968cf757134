"""What every checkpoint offers, whatever its format, and what a format says of itself.

`Checkpoint` is what each class in `formats/` implements; `Traits` is what others would otherwise
ask of a format by its name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from kerasguard.manifest import MemberRecord
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table, TensorSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from kerasguard.tensors.elements import Array

__all__ = ["Checkpoint", "Keys", "Traits"]

Keys = Literal["walk", "order", "objects", "variables", "listed", "modules", "paths"]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a format is, as data.

    Args:
        keys: what a tensor's key is: `walk`, the path by which Keras 3 walks a model
            (`layers/dense/vars/0`); `order`, a place among layers in the order that they were
            created in; `objects`, the attributes that lead to it; `variables`, a variable's path;
            `listed`, a place in the list of a model's weights; `modules`, the name of an array
            in a PyTorch state dict;
            `paths`, the same below what the variable is for (`trainable_variables/head/kernel`).
        config: the form of an architecture in it: `keras3`, with modules; `legacy`, as in HDF5
            files; `tensorflow`, as in object graphs; empty where it holds weights only.
        complete: whether Keras writes into it what layers keep beside their weights: vocabularies,
            boundaries and other assets.
        program: whether it is a program that can be run where it has no usable config.
        scattered: whether tensors lie in pieces all over its files, so that a file that is not as
            recorded leaves none of them to be read.
        general: whether a file of this format may be anybody's data, so that one in a folder that
            is searched counts as a checkpoint only where somebody recorded it.
        folder: whether it is a whole folder, with nothing below that is a checkpoint of its own.
        suffixes: endings that its writers give to its name.
        marks: files that lie in every folder of this format, and together in no other.
        starts: pattern of the first bytes of its files, of any version and writer, so that a file
            elsewhere is fetched only where it may be one; empty where it is not a single file.
    """

    keys: Keys
    config: Literal["", "keras3", "legacy", "tensorflow"] = ""
    complete: bool = False
    program: bool = False
    scattered: bool = False
    general: bool = False
    folder: bool = False
    suffixes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    starts: bytes = b""


class Checkpoint(Protocol):
    """What every format offers; also a `TensorSource`.

    Recognising is by content. Opening opens each file once and parses no more than it must;
    `table()` finds all tensors and reads none.
    """

    name: ClassVar[str]
    traits: ClassVar[Traits]
    path: Path

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the content at `path` is of this format; never raises for what lies there."""

    @classmethod
    def parts(cls, names: Collection[str]) -> Mapping[str, set[str]]:
        """The files of one folder that are parts of a checkpoint and none of their own.

        Args:
            names: of all files in the folder.

        Returns:
            By the name of a checkpoint, which need not be a file's, its parts; by the empty name
            what belongs to several.
        """
        return {}

    def __init__(self, path: Path) -> None: ...

    def files(self) -> Mapping[str, OpenedFile]:
        """Every file of the checkpoint by its name relative to the checkpoint's folder."""

    def table(self) -> Table:
        """All tensors and layers that the files tell of, without digests."""

    def specs(self) -> Mapping[str, TensorSpec]:
        """Spec of every tensor by key."""
        return {key: record.spec for key, record in self.table().tensors.items()}

    def read(self, key: str) -> Array:
        """One tensor, little-endian and C-ordered, as its spec says."""

    def architecture(self) -> dict[str, Any] | None:
        """The stored Keras config as parsed JSON, not migrated; None where there is none."""

    def layer_configs(self) -> dict[str, dict[str, Any]]:
        """Stored configs of single layers by their key in the table, beside the architecture."""
        return {}

    def writer(self) -> dict[str, str]:
        """Versions that the files tell of their writer: `keras`, `backend`, ..."""

    def assets(self) -> Mapping[str, bytes]:
        """Further files that layers asked to be kept, by their path inside `assets/`."""
        return {}

    def member_records(self) -> tuple[MemberRecord, ...]:
        """Size, CRC-32 and SHA-256 of an archive's members; reads them all."""
        return ()

    def foreign(self) -> Sequence[str]:
        """What somebody else put into the files and no format of Keras has; it is not read."""
        return ()

    def verify_container(self) -> list[str]:
        """What the format's own checksums find, a line each; reads everything that has one."""
        return []

    def close(self) -> None:
        """Close all files; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
