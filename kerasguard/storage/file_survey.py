"""What lies around the tensors: a checkpoint's files as a whole, and the bytes between tensors.

`file_records` describes them when a checkpoint is recorded, `skeleton_differences` compares them
when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table

__all__ = [
    "by_recorded_name",
    "file_digests",
    "file_records",
    "sha256_differences",
    "skeleton_differences",
]


@contextmanager
def file_digests(checkpoint: Checkpoint) -> Iterator[dict[str, Future[str]]]:
    """SHA-256 of every file by its name, made in a thread while the caller goes on.

    Not every processor has instructions for it, and then it takes longer than all the rest.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="kerasguard-sha256") as pool:
        yield {name: pool.submit(file.sha256) for name, file in checkpoint.files().items()}


def file_records(
    checkpoint: Checkpoint, table: Table, digests: Mapping[str, Future[str]] | None = None
) -> tuple[FileRecord, ...]:
    """Survey the files of a checkpoint: sizes, SHA-256, skeletons, zip members.

    Args:
        checkpoint: opened.
        table: its own; tells which bytes are tensors.
        digests: of `file_digests`, where they were begun before.
    """
    extents = _by_file(table)
    files = checkpoint.files()
    with file_digests(checkpoint) if digests is None else nullcontext(digests) as whole:
        members = checkpoint.member_records()
        return tuple(
            FileRecord(
                name,
                file.size,
                sha256=whole[name].result(),
                skeleton=file.skeleton(extents.get(name, ())),
                members=members,
            )
            for name, file in files.items()
        )


def skeleton_differences(files: Mapping[str, OpenedFile], manifest: Manifest) -> list[str]:
    """Recorded names of the files that are gone or whose bytes outside the tensors differ.

    Reads those bytes only and parses nothing: if nothing differs, the recorded extents are right.
    """
    extents = _by_file(manifest.table)
    found = by_recorded_name(files, {record.name for record in manifest.files})
    return [
        record.name
        for record in manifest.files
        if (file := found.get(record.name)) is None
        or file.size != record.size
        or file.skeleton(extents.get(record.name, ())) != record.skeleton
    ]


def sha256_differences(files: Mapping[str, OpenedFile], manifest: Manifest) -> Iterator[str]:
    """A line for each file whose SHA-256 is not the recorded one; reads all of them."""
    found = by_recorded_name(files, {record.name for record in manifest.files})
    for record in manifest.files:
        file = found.get(record.name)
        if file is None:
            yield f"{record.name}: is recorded but missing"
        elif file.size != record.size:
            yield f"{record.name}: has {file.size} bytes, but {record.size} were recorded"
        elif file.sha256() != record.sha256:
            yield f"{record.name}: its SHA-256 differs from the recorded one"


def _by_file(table: Table) -> dict[str, list[tuple[int, int]]]:
    extents: dict[str, list[tuple[int, int]]] = {}
    for record in table.tensors.values():
        if (extent := record.extent) is not None:
            extents.setdefault(extent.file, []).append((extent.offset, extent.length))
    return extents


def by_recorded_name(files: Mapping[str, OpenedFile], names: set[str]) -> Mapping[str, OpenedFile]:
    """The files by recorded name; a single file may have been renamed since."""
    if len(files) == len(names) == 1:
        return dict(zip(names, files.values(), strict=True))
    return files
