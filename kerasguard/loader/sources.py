"""What may be named as a checkpoint: a path, a registry's URI, arrays in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kerasguard.arguments import check_path
from kerasguard.manifest import Manifest
from kerasguard.report import Report
from kerasguard.storage.sidecar import ManifestPolicy

if TYPE_CHECKING:
    from kerasguard.elements import Array
    from kerasguard.loader.reading import Reading
    from kerasguard.planning.plan import RepairPlan

__all__ = ["PathLike", "Source", "at_hand", "named", "report_of"]

PathLike = str | os.PathLike[str]
Source = PathLike | Mapping[str, "Array"]


@contextlib.contextmanager
def at_hand(
    path: Source, manifest: ManifestPolicy = "auto"
) -> Iterator[tuple[Any, Manifest | ManifestPolicy]]:
    """The checkpoint on this machine, or in memory, and which manifest to use.

    An MLflow URI is downloaded to a private folder, and its manifest found in the registry. What
    `kerasguard.read` gave is the checkpoint that it reads.
    """
    if isinstance(path, str) and path.startswith(("models:/", "runs:/", "mlflow-artifacts:/")):
        from kerasguard.tracking import mlflow_models

        policy: Literal["auto", "ignore"] = "ignore" if manifest == "ignore" else "auto"
        with mlflow_models.resolve(path, manifest=policy) as download:
            yield download.path, download.manifest or manifest
    elif isinstance(path, Mapping):
        from kerasguard.formats.arrays import GivenArrays
        from kerasguard.loader.arrays import Arrays

        if not isinstance(path, Arrays):
            yield GivenArrays(path), "ignore"
        else:
            yield path.checkpoint(), path.manifest or ("ignore" if path.made_up else manifest)
    else:
        check_path("path", path)
        yield Path(path), manifest


def named(path: Source) -> str:
    """What messages call it."""
    where = getattr(path, "path", None) if isinstance(path, Mapping) else path
    return "arrays in memory" if where is None else str(where)


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
