"""Manifests to the active MLflow run, off the critical path; the only file that imports MLflow.

`MlflowObserver` makes a parcel of a save (`mlflow_parcel`), which one thread sends
(`mlflow_outbox`); what arrives and under which names is decided in `mlflow_sending`.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  see _at_exit
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from kerasguard.arguments import check_choice
from kerasguard.errors import MissingPackageError
from kerasguard.manifest import Manifest
from kerasguard.tracking import mlflow_outbox
from kerasguard.tracking.mlflow_outbox import Outbox, Synced
from kerasguard.tracking.mlflow_parcel import Parcel, check_outbox, kept_in, outbox_folder

__all__ = [
    "MlflowObserver",
    "Recorded",
    "flush",
    "observer_for",
    "require",
    "sync",
    "waiting",
]

PATIENCE = 5.0
"""Seconds that the end of the process waits for; what has not arrived by then is kept."""


class Recorded(Protocol):
    """What an observer is told of: a checkpoint and the manifest beside it."""

    @property
    def path(self) -> Path:
        """Where the checkpoint lies."""

    @property
    def manifest(self) -> Manifest:
        """What it holds."""


def require(purpose: str) -> Any:
    """The package `mlflow`.

    Args:
        purpose: what needs it; starts the message.

    Raises:
        MissingPackageError: it is not installed, or does not import.
    """
    try:
        return importlib.import_module("mlflow")
    except ImportError as error:
        raise MissingPackageError(
            f"{purpose}: needs MLflow, which does not import here ({error}); install it with: "
            "pip install kerasguard[mlflow]"
        ) from error


def observer_for(log_to_mlflow: bool | Literal["auto"]) -> MlflowObserver | None:
    """The observer that logs what is recorded, or None for False.

    Args:
        log_to_mlflow: `"auto"` logs where a run is active and never imports MLflow itself; True
            imports it at once and warns at a save without an active run.

    Raises:
        ArgumentError: it is none of these.
        MissingPackageError: True, and MLflow is not installed.
    """
    check_choice("log_to_mlflow", log_to_mlflow, (True, False, "auto"))
    if log_to_mlflow is False:
        return None
    if log_to_mlflow is True:
        require("log_to_mlflow=True")
        return MlflowObserver(required=True)
    return MlflowObserver()


@dataclass(frozen=True)
class MlflowObserver:
    """Hands each manifest to the run that is active in the saving thread.

    Holds no client, lock or run, so that it can be copied, pickled and shared by threads.

    Args:
        required: warn at a save without an active run.
    """

    required: bool = False

    def __call__(self, event: Recorded) -> None:
        """Queue the manifest; returns at once and raises nothing of MLflow's."""
        known: Any = sys.modules.get("mlflow")
        mlflow = require("log_to_mlflow=True") if self.required else known
        # Absent from a module that another thread has only begun to import.
        active_run = getattr(mlflow, "active_run", None)
        run = active_run() if active_run is not None else None
        if run is not None:
            model_id = _model_being_logged(mlflow, event.path)
            _outbox.post(Parcel.of(mlflow.get_tracking_uri(), run.info.run_id, model_id, event))
        elif self.required:
            warnings.warn(
                f"{event.path.name}: its manifest was not logged, no MLflow run is active in this "
                "thread; save inside `with mlflow.start_run():`",
                stacklevel=2,
            )
        # Last, since a filter may turn it into an exception.
        _outbox.tell()

    def flush(self, timeout: float | None = None) -> bool:
        """As the function `flush`."""
        return flush(timeout)


def flush(timeout: float | None = None) -> bool:
    """Wait until every manifest has been logged or has failed; then warn of failures.

    Args:
        timeout: seconds; None waits five.

    Returns:
        Whether nothing is left waiting.
    """
    done = _outbox.drain(PATIENCE if timeout is None else timeout)
    _outbox.tell()
    return done


def sync(tell: Callable[[str], None]) -> Synced:
    """Send all that earlier processes could not.

    Args:
        tell: is given the name of each checkpoint before its manifest is sent.

    Raises:
        ArgumentError: the environment names a file to keep parcels in.
        MissingPackageError: MLflow is not installed.
    """
    check_outbox()
    if next(kept_in(outbox_folder()), None) is not None:
        require("mlflow-sync")
    return mlflow_outbox.sync(tell)


def waiting() -> set[str]:
    """Ids of the checkpoints whose manifests are not in MLflow, of earlier processes too."""
    kept = {parcel.manifest.checkpoint_id for parcel in kept_in(outbox_folder())}
    return kept | _outbox.unsent


def _model_being_logged(mlflow: Any, path: Path) -> str | None:
    """Id of the LoggedModel whose folder the checkpoint was saved into, if `log_model` did it."""
    last = getattr(mlflow, "last_logged_model", None)
    if last is None or not (path.parent / "keras_module.txt").is_file():
        return None
    try:
        model = last()
    except Exception:  # noqa: BLE001  the server's trouble is log_model's to report, not a save's
        return None
    pending = model is not None and model.status is not None and model.status.name == "PENDING"
    return str(model.model_id) if pending else None


_outbox = Outbox()
os.register_at_fork(after_in_child=_outbox.reset)


def _at_exit() -> None:
    """Send what a script's last lines saved; prints what is left, whatever the filters say."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        flush()
        if left := _outbox.left:
            what = "1 manifest has" if left == 1 else f"{left} manifests have"
            warnings.warn(
                f"{what} not reached MLflow and will be sent from {outbox_folder()} by the next "
                "process that logs to the same store, or with: kerasguard mlflow-sync",
                stacklevel=2,
            )


# Object stores upload through executors, which are closed before `atexit` runs: be earlier than
# they (last registered is first called, and theirs was registered by the import above).
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
