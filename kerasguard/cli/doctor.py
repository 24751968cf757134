"""What kerasguard works with here: versions, backend, shortcuts, MLflow."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
from importlib import metadata
from typing import Any

from kerasguard.cli.starting import started

__all__ = ["examine"]

_PACKAGES = (
    "kerasguard",
    "keras",
    "tensorflow",
    "numpy",
    "h5py",
    "ml_dtypes",
    "xxhash",
    "google-crc32c",
    "rich",
    "jinja2",
    "mlflow",
)


def examine() -> dict[str, Any]:
    """Facts that belong into a bug report; imports Keras and MLflow where they are installed.

    Returns:
        `versions` (None where a package is missing), `keras` (backend, or why it cannot be
        imported), `shortcuts` (whether each fits the installed Keras; where one does not, Keras
        does the work itself) and `mlflow` (tracking address and active run).
    """
    keras, shortcuts = _keras()
    return {
        "versions": {"python": platform.python_version(), **{n: _version(n) for n in _PACKAGES}},
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "keras": keras,
        "shortcuts": shortcuts,
        "mlflow": _mlflow(),
    }


def _version(package: str) -> str | None:
    for name in (package, f"{package}-nightly"):  # which may have the place of the other
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return None


def _keras() -> tuple[dict[str, Any], dict[str, bool]]:
    try:
        started("kerasguard.models")
        keras = importlib.import_module("keras")
        from kerasguard.models import fast_build, placeholders
    except Exception as error:  # noqa: BLE001  # a broken installation is what is asked about
        return {"problem": f"{type(error).__name__}: {error}"}, {}
    told = {
        "backend": keras.backend.backend(),
        "floatx": keras.config.floatx(),
        "dtype_policy": keras.config.dtype_policy().name,
    }
    return told, {**placeholders.shortcuts(), **fast_build.shortcuts()}


def _mlflow() -> dict[str, Any]:
    if _version("mlflow") is None:
        return {"problem": "not installed; pip install 'kerasguard[mlflow]' adds it"}
    try:
        mlflow = importlib.import_module("mlflow")
        run = mlflow.active_run()
        found = {
            "tracking_uri": mlflow.get_tracking_uri(),
            "active_run": run.info.run_id if run else None,
        }
        if _version("tensorflow") and not _version("tensorboard"):
            found["autolog"] = (
                "fit fails under mlflow.tensorflow.autolog() without TensorBoard; "
                "pip install tensorboard, or use mlflow.keras.autolog()"
            )
        return found
    except Exception as error:  # noqa: BLE001  # as for Keras
        return {"problem": f"{type(error).__name__}: {error}"}
