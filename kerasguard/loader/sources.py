"""What may be named as a checkpoint: a path, an address elsewhere, bytes, arrays in memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from kerasguard.arguments import check_path, check_place
from kerasguard.errors import ArgumentError, ManifestMissingError
from kerasguard.manifest import Manifest
from kerasguard.report import Report
from kerasguard.storage import durable, remote
from kerasguard.storage.file_system import Files
from kerasguard.storage.sidecar import ManifestPolicy

if TYPE_CHECKING:
    from kerasguard.loader.reading import Reading
    from kerasguard.planning.plan import RepairPlan
    from kerasguard.tensors.elements import Array

__all__ = ["PathLike", "Place", "Source", "at_hand", "files_of", "named", "report_of"]

PathLike = str | os.PathLike[str]
Place = PathLike | bytes | bytearray | memoryview | IO[bytes]
Source = Place | Mapping[str, "Array"]

# One read of an open file, in bytes.
_PIECE = 1 << 20
_MLFLOW = ("models:/", "runs:/", "mlflow-artifacts:/")


@contextlib.contextmanager
def at_hand(
    path: Source, manifest: ManifestPolicy = "auto"
) -> Iterator[tuple[Any, Manifest | ManifestPolicy]]:
    """The checkpoint on this machine, or in memory, and which manifest to use.

    What lies elsewhere is downloaded to a private folder: an MLflow URI, whose manifest is found
    in the registry, and any address that fsspec or TensorFlow knows. Bytes, and what an open file
    holds from its start, become a file there. What `kerasguard.read` gave is the checkpoint that it
    reads.

    Raises:
        ManifestMissingError: one is demanded, of arrays that can have none.
    """
    if isinstance(path, str) and path.startswith(_MLFLOW):
        from kerasguard.tracking import mlflow_models

        policy: Literal["auto", "ignore"] = "ignore" if manifest == "ignore" else "auto"
        with mlflow_models.resolve(path, manifest=policy) as download:
            yield download.path, download.manifest or manifest
    elif isinstance(path, Mapping):
        yield _in_memory(path, manifest)
    elif remote.is_remote(path):
        url = str(path)
        with remote.fetched(url, files_of(url)) as place:
            try:
                yield place, manifest
            except Exception as error:
                durable.rename_in(error, {place: url})
                raise
    elif isinstance(path, (str, os.PathLike)):
        check_path("path", path)
        yield remote.local_path(path), manifest
    else:
        check_place("path", path)
        with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
            place = Path(folder, "checkpoint")
            _copy(path, place)
            try:
                yield place, manifest
            except Exception as error:
                durable.rename_in(error, {place: named(path)})
                raise


def _in_memory(
    arrays: Mapping[str, Array], manifest: ManifestPolicy
) -> tuple[Any, Manifest | ManifestPolicy]:
    from kerasguard.formats.arrays import GivenArrays
    from kerasguard.loader.arrays import Arrays

    if isinstance(arrays, Arrays) and not arrays.made_up:
        return arrays.checkpoint(), arrays.manifest or manifest
    if manifest == "require":
        raise ManifestMissingError(
            'arrays in memory have no manifest, which manifest="require" demands; pass the '
            "recorded checkpoint, or what kerasguard.read(path) gives of it"
        )
    found = arrays.checkpoint() if isinstance(arrays, Arrays) else GivenArrays(arrays)
    return found, "ignore"


def files_of(url: str) -> Files:
    """What reads and writes an address: fsspec, else TensorFlow.

    Raises:
        MissingPackageError: nothing that is installed knows it.
    """
    return remote.files_at(url, _through_keras)


def _through_keras(url: str) -> Files | None:
    from kerasguard.models import gfile

    return gfile.files_at(url)


def _copy(source: Any, place: Path) -> None:
    """Write what bytes or an open file hold to a file; the open file's position stays."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        place.write_bytes(source)
        return
    before = source.tell() if source.seekable() else None
    if before is not None:
        source.seek(0)
    with place.open("wb") as file:
        while piece := source.read(_PIECE):
            if not isinstance(piece, (bytes, bytearray)):
                raise ArgumentError("path= is a text file; open it with mode 'rb'")
            file.write(piece)
    if before is not None:
        source.seek(before)


def named(path: Source) -> str:
    """What messages call it."""
    where = getattr(path, "path", None) if isinstance(path, Mapping) else path
    if where is None:
        return "arrays in memory"
    return os.fspath(where) if isinstance(where, (str, os.PathLike)) else "bytes in memory"


def report_of(path: Source, reading: Reading, decided: RepairPlan, **more: Any) -> Report:
    """What is known of a checkpoint, and what was decided about it."""
    manifest = reading.manifest
    return Report(
        path=named(path),
        format=reading.checkpoint.name,
        findings=decided.findings,
        plan=decided,
        origin="recorded" if manifest else "unrecorded",
        checkpoint_id=manifest.checkpoint_id if manifest else "",
        versions=reading.writer(),
        records=tuple(reading.table.tensors.values()),
        **{"action": "plan", **more},
    )
