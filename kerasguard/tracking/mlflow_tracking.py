"""Manifests to the active MLflow run, off the critical path; the only file that imports MLflow.

What a run gets, for every save:

    kerasguard/by-digest/<first digits of the file's SHA-256>.json    one per distinct save
    kerasguard/manifests/<checkpoint name>.manifest.json              the last save of that name
    kerasguard/companions/<companion's name>                          what Keras does not write
    tags kerasguard.weights_digest, kerasguard.manifest               of the last save

A LoggedModel that `log_model` is filling at that moment gets the digest as a tag of its own:
it lies in the tracking database, apart from the files that it speaks for.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  see _at_exit
import importlib
import os
import sys
import threading
import warnings
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from kerasguard.errors import MissingPackageError
from kerasguard.manifest import Manifest
from kerasguard.storage.companion import located
from kerasguard.tracking.mlflow_layout import (
    DIGEST_TAG,
    FOLDER,
    MANIFEST_TAG,
    artifact_name,
    by_digest,
)

__all__ = [
    "MlflowObserver",
    "Recorded",
    "flush",
    "observer_for",
    "require",
]

PATIENCE = 10.0
LIMIT = 32


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
            f"{purpose}: needs MLflow, which does not import here ({error}); "
            "install it by: pip install kerasguard[mlflow]"
        ) from error


def observer_for(log_to_mlflow: bool | Literal["auto"]) -> MlflowObserver | None:
    """The observer that logs what is recorded, or None for False.

    Args:
        log_to_mlflow: `"auto"` logs where a run is active and never imports MLflow itself; True
            imports it at once and warns at a save without an active run.

    Raises:
        MissingPackageError: True, and MLflow is not installed.
    """
    if log_to_mlflow is False:
        return None
    if log_to_mlflow is True:
        require("log_to_mlflow=True")
        return MlflowObserver(required=True)
    if log_to_mlflow == "auto":
        return MlflowObserver()
    raise ValueError(f'log_to_mlflow must be True, False or "auto", got {log_to_mlflow!r}')


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
        mlflow = require("log_to_mlflow=True") if self.required else sys.modules.get("mlflow")
        # Absent from a module that another thread has only begun to import.
        active_run = getattr(mlflow, "active_run", None)
        run = active_run() if active_run is not None else None
        if run is not None:
            _outbox.post(_Parcel.of(mlflow, run.info.run_id, event))
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
        timeout: seconds; None waits ten, but not again while MLflow is as slow as that.

    Returns:
        Whether nothing is left waiting.
    """
    done = _outbox.drain(timeout)
    _outbox.tell()
    return done


@dataclass(frozen=True)
class _Parcel:
    """A manifest and the run that was active when it was written, which may end meanwhile."""

    tracking_uri: str
    run_id: str
    model_id: str | None
    path: Path
    manifest: Manifest

    @staticmethod
    def of(mlflow: Any, run_id: str, event: Recorded) -> _Parcel:
        model_id = _model_being_logged(mlflow, event.path)
        # Made absolute now: a relative path in it would follow a later chdir.
        path = event.path.absolute()
        return _Parcel(mlflow.get_tracking_uri(), run_id, model_id, path, event.manifest)

    def send(self) -> None:
        client = sys.modules["mlflow"].MlflowClient(tracking_uri=self.tracking_uri)
        text = self.manifest.to_json()
        content = by_digest((f.size, f.sha256) for f in self.manifest.files)
        named = f"{FOLDER}/manifests/{artifact_name(self.path.name)}"
        client.log_text(self.run_id, text, f"{FOLDER}/by-digest/{content}.json")
        client.log_text(self.run_id, text, named)
        kept = self.manifest.companion and located(self.path, self.manifest.companion.name)
        try:
            if kept and kept.is_file():
                client.log_artifact(self.run_id, str(kept), f"{FOLDER}/companions")
        except FileNotFoundError:
            # A later save took its place, and its checkpoint's; or it was a folder of log_model's.
            if kept and kept.is_file():  # then it was another file that the store missed
                raise
        # Tags last: what a tag speaks of is there.
        digest = self.manifest.weights_digest
        if self.model_id is not None:
            client.set_logged_model_tags(self.model_id, {DIGEST_TAG: digest})
        client.set_tag(self.run_id, MANIFEST_TAG, named)
        client.set_tag(self.run_id, DIGEST_TAG, digest)


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


class _Outbox:
    """Parcels on their way: at most `LIMIT`, sent in order by one thread.

    A daemon, so that a server that hangs cannot hold the interpreter up.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Empty, with no thread; also in a forked child, whose parent sends what was waiting."""
        self._changed = threading.Condition()
        self._waiting: deque[_Parcel] = deque()
        self._worker: threading.Thread | None = None
        self._slow = False
        self._untold: dict[str, str] = {}
        self._told: set[str] = set()

    def post(self, parcel: _Parcel) -> None:
        with self._changed:
            if len(self._waiting) >= LIMIT:
                self._failed(parcel, f"{LIMIT} manifests are waiting already; MLflow is too slow")
                return
            self._waiting.append(parcel)
            self._changed.notify_all()
            if self._worker is None or not self._worker.is_alive():
                self._start()

    def _start(self) -> None:
        name = "kerasguard-mlflow"
        # Handed over, not looked up: a `reset` gives the outbox another queue, this thread not.
        queue = (self._changed, self._waiting)
        self._worker = threading.Thread(target=self._work, args=queue, name=name, daemon=True)
        self._worker.start()

    def _work(self, changed: threading.Condition, waiting: deque[_Parcel]) -> None:
        while True:
            with changed:
                changed.wait_for(lambda: waiting)
                parcel = waiting[0]
            problem = None
            try:
                parcel.send()
            except Exception as error:  # noqa: BLE001  whatever MLflow's stores raise: a warning
                problem = f"{type(error).__name__}: {error}"
            finally:
                with changed:
                    if problem is not None and waiting is self._waiting:
                        self._failed(parcel, problem)
                    waiting.popleft()
                    changed.notify_all()

    def drain(self, timeout: float | None) -> bool:
        with self._changed:
            if timeout is None:
                timeout = 0.0 if self._slow else PATIENCE
            done = self._changed.wait_for(lambda: not self._waiting, timeout)
            self._slow = not done
            for parcel in self._waiting:
                self._failed(parcel, f"still waiting after {timeout:.0f} s", final=False)
            return done

    def _failed(self, parcel: _Parcel, problem: str, *, final: bool = True) -> None:
        """Note a run's first failure; the lock is held."""
        if parcel.run_id in self._told or parcel.run_id in self._untold:
            return
        state = "was not logged" if final else "has not been logged yet"
        self._untold[parcel.run_id] = (
            f"{parcel.path.name}: its manifest {state} to MLflow run {parcel.run_id} "
            f"({problem:.500}). Training goes on, the manifest is beside the checkpoint; to log "
            f"it by hand: mlflow artifacts log-artifact --run-id {parcel.run_id} --artifact-path "
            f"{FOLDER}/manifests --local-file {parcel.path}.manifest.json . "
            "Said once per run."
        )

    def tell(self) -> None:
        """Warn of failures in the caller's thread, where filters and tests see it."""
        with self._changed:
            untold, self._untold = self._untold, {}
            self._told.update(untold)
        for message in untold.values():
            warnings.warn(message, stacklevel=3)


_outbox = _Outbox()
os.register_at_fork(after_in_child=_outbox.reset)


def _at_exit() -> None:
    """Send what a script's last lines saved; prints what failed, whatever the filters say."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        flush()


# Object stores upload through executors, which are closed before `atexit` runs: be earlier than
# they (last registered is first called, and theirs was registered by the import above).
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
