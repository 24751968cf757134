"""What lies around the tensors, compared with what was recorded (`one_pass.file_records`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.manifest import Manifest
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.tensors import Table

__all__ = [
    "by_recorded_name",
    "sha256_differences",
    "skeleton_differences",
]


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
        elif not record.sha256:
            yield f"{record.name}: no SHA-256 was recorded (sha256=False); record it again with one"
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
