"""The queue of parcels and the one thread that sends them.

Training never waits for MLflow. A parcel that does not arrive stays in the outbox on the disk and
is tried again: when the store answers again, by the next process that logs to the same store, or
by `kerasguard mlflow-sync`.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kerasguard.tracking.mlflow_parcel import Parcel, absent_store, kept_in, outbox_folder
from kerasguard.tracking.mlflow_sending import send, tag_versions

__all__ = ["Outbox", "Synced", "gone", "sync"]

LIMIT = 32
"""Parcels in memory; more wait on the disk only."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0
_GONE = "RESOURCE_DOES_NOT_EXIST"


def gone(error: BaseException) -> bool:
    """Whether the store answered that there is no such run: nothing will ever be taken."""
    return getattr(error, "error_code", "") == _GONE


class Outbox:
    """Parcels on their way, sent in order by one thread.

    A daemon, so that a server that hangs cannot hold the interpreter up.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Empty, with no thread; also in a forked child, whose parent sends what was waiting."""
        self._changed = threading.Condition()
        self._waiting: deque[Parcel] = deque()
        self._worker: threading.Thread | None = None
        # What lies on the disk and not in memory: of earlier processes, failed, or too many.
        self._behind: set[str] = set()
        self._pause = _FIRST_PAUSE
        self._failures: set[Path | None] = set()
        self._unsent: set[str] = set()
        self._asked = False
        self._registered: dict[str, Parcel] = {}
        self._untold: dict[str, str] = {}
        self._told: set[str] = set()
        self._met: set[str] = set()

    def post(self, parcel: Parcel) -> None:
        """Queue a parcel; returns at once."""
        with self._changed:
            self._unsent.add(parcel.manifest.checkpoint_id)
            if len(self._waiting) < LIMIT:
                self._waiting.append(parcel)
            elif parcel.kept is not None:
                self._behind.add(parcel.tracking_uri)
            else:
                self._failed(parcel, f"{LIMIT} manifests are waiting already; MLflow is too slow")
                return
            self._changed.notify_all()
            if self._worker is None or not self._worker.is_alive():
                self._start()

    def _start(self) -> None:
        name = "kerasguard-mlflow"
        # Handed over, not looked up: a `reset` gives the outbox another queue, this thread not.
        queue = (self._changed, self._waiting)
        self._worker = threading.Thread(target=self._work, args=queue, name=name, daemon=True)
        self._worker.start()

    def _work(self, changed: threading.Condition, waiting: deque[Parcel]) -> None:
        while True:
            with changed:
                pause = self._pause if self._behind or self._registered else None
                changed.wait_for(lambda: waiting or self._asked, pause)
                parcel = waiting[0] if waiting else None
            if parcel is None:
                if waiting is not self._waiting:
                    return
                self._look_again()
                continue
            problem = _attempt(send, parcel)
            with changed:
                if waiting is self._waiting:
                    self._done(parcel, problem)
                waiting.popleft()
                changed.notify_all()

    def _look_again(self) -> None:
        """Nothing was posted for a while: try what failed, and find what was registered."""
        with self._changed:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            if not self._asked:
                self._fetch()
        if not self._waiting:
            self._settle()
            with self._changed:
                self._asked = False
                self._changed.notify_all()

    def _done(self, parcel: Parcel, problem: Exception | None) -> None:
        """Note what became of a parcel; the lock is held."""
        if problem is None or gone(problem):
            parcel.discard()
            self._failures.discard(parcel.kept)
        if problem is not None:
            self._failed(parcel, f"{type(problem).__name__}: {problem}", lost=gone(problem))
            return
        self._pause = _FIRST_PAUSE
        self._unsent.discard(parcel.manifest.checkpoint_id)
        if parcel.model_id is not None:
            self._registered[parcel.model_id] = parcel
        # The store answers: what earlier processes and an outage left is sent now.
        if parcel.tracking_uri not in self._met:
            self._met.add(parcel.tracking_uri)
            self._behind.add(parcel.tracking_uri)
        if len(self._waiting) == 1:
            self._fetch()

    def _fetch(self) -> None:
        """Queue what lies on the disk for the stores that this process logs to."""
        stores, self._behind = self._behind, set()
        queued = {parcel.kept for parcel in self._waiting}
        for parcel in kept_in(outbox_folder()) if stores else ():
            wanted = parcel.tracking_uri in stores and parcel.kept not in queued
            if not wanted:
                continue
            if len(self._waiting) >= LIMIT:
                self._behind.add(parcel.tracking_uri)
                return
            self._waiting.append(parcel)

    def _settle(self) -> None:
        """Tag the versions that were registered meanwhile; looked for a few minutes."""
        for model_id, parcel in list(self._registered.items()):
            try:
                settled = tag_versions(parcel.tracking_uri, model_id, parcel.manifest)
            except Exception:  # noqa: BLE001  the logged model has the tag; a version's is a copy
                settled = False
            if settled or self._pause >= _LONGEST_PAUSE:
                self._registered.pop(model_id, None)

    def drain(self, timeout: float) -> bool:
        """Wait until nothing is left in the queue; False after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._waiting, timeout):
                return False
            if self._registered and timeout > 0:
                self._asked = True  # versions that were registered meanwhile get their tags
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._asked, timeout)
            return True

    @property
    def left(self) -> int:
        """How many have not arrived, as far as this process knows."""
        with self._changed:
            return len(self._waiting) + len(self._failures)

    @property
    def unsent(self) -> set[str]:
        """Ids of the checkpoints whose manifests were posted here and have not arrived."""
        with self._changed:
            return set(self._unsent)

    def _failed(self, parcel: Parcel, problem: str, *, lost: bool = False) -> None:
        """Note a run's first failure; the lock is held."""
        if parcel.kept is not None and not lost:
            self._behind.add(parcel.tracking_uri)
            self._failures.add(parcel.kept)
        if parcel.run_id in self._told or parcel.run_id in self._untold:
            return
        what = f"{parcel.path.name}: its manifest was not logged to MLflow run {parcel.run_id}"
        if parcel.kept is not None and not lost:
            after = (
                f"It is kept in {parcel.kept.parent} with all that follow, and sent when the "
                "store answers, by the next process that logs there, or with: kerasguard "
                "mlflow-sync"
            )
        else:
            after = "The manifest is beside the checkpoint"
        self._untold[parcel.run_id] = (
            f"{what} ({problem:.500}). Training goes on. {after}. Said once per run."
        )

    def tell(self) -> None:
        """Warn of failures in the caller's thread, where filters and tests see it."""
        with self._changed:
            untold, self._untold = self._untold, {}
            self._told.update(untold)
        for message in untold.values():
            warnings.warn(message, stacklevel=3)


@dataclass(frozen=True)
class Synced:
    """What `sync` came to.

    Args:
        sent: names of the checkpoints whose manifests have arrived.
        refused: those of runs that the store does not know (any more); removed from the outbox.
        left: those that wait on, with the reason.
    """

    sent: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()


def sync(tell: Callable[[str], None] = lambda _: None) -> Synced:
    """Send all that lies in the outbox; a store that fails is not asked again.

    Args:
        tell: is given the name of each checkpoint before its parcel is sent.
    """
    done, failing = Synced(), dict[str, str]()
    for parcel in kept_in(outbox_folder()):
        name = f"{parcel.path.name} (run {parcel.run_id})"
        tell(name)
        problem = failing.get(parcel.tracking_uri) or _sent(parcel)
        if problem is None:
            done = replace(done, sent=(*done.sent, name))
        elif problem == _GONE:
            done = replace(done, refused=(*done.refused, name))
        else:
            failing[parcel.tracking_uri] = problem
            done = replace(done, left=(*done.left, (name, problem)))
    return done


def _sent(parcel: Parcel) -> str | None:
    if absent_store(parcel.tracking_uri):
        return f"{parcel.tracking_uri}: there is no such database, or it is gone"
    error = _attempt(send, parcel)
    if error is None and parcel.model_id is not None:
        model_id = parcel.model_id
        _attempt(lambda p: tag_versions(p.tracking_uri, model_id, p.manifest), parcel)
    if error is None or gone(error):
        parcel.discard()
        return None if error is None else _GONE
    return f"{parcel.tracking_uri}: {type(error).__name__}: {error!s:.300}"


def _attempt(step: Callable[[Parcel], object], parcel: Parcel) -> Exception | None:
    try:
        step(parcel)
    except Exception as error:  # noqa: BLE001  whatever MLflow's stores raise: told by the caller
        return error
    return None
