"""Saves that training does not wait for: the values are copied, a thread does the rest.

At most one save is on its way. What it raises is raised by whoever waits for it: the next save, the
end of the training, or the end of the `patched` block.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from kerasguard.recorder.recording import Observer, Recorded, notify

__all__ = ["Background"]

Save = Callable[[Observer], None]
"""Saves and records, and tells the observer about it."""


class Background:
    """One thread, and the memory for one copy of the model that it saves."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kerasguard-save")
        self._pending: tuple[Future[list[Recorded]], tuple[Observer, ...]] | None = None
        self._copies: Any = None
        self._warned = False

    def start(self, model: Any, save: Save, observers: Iterable[Observer]) -> bool:
        """Copy the model's values and return; False where only this thread can save it.

        Waits for the save before, and raises what that raised.

        Args:
            model: to be saved.
            save: does it; the model's variables have the copied values meanwhile.
            observers: told by `wait`, in its thread: an MLflow run belongs to a thread.
        """
        from kerasguard.models.snapshot import Copies, obstacle

        self.wait()
        reason = obstacle(model)
        if reason:
            if not self._warned:
                warnings.warn(
                    f"model {model.name!r} is saved while training waits, because {reason}",
                    UserWarning,
                    stacklevel=4,
                )
            self._warned = True
            return False
        self._copies = self._copies or Copies()
        snapshot = self._copies.take(model)

        def work() -> list[Recorded]:
            made: list[Recorded] = []
            with snapshot.in_this_thread():
                save(made.append)
            return made

        self._pending = self._pool.submit(work), tuple(observers)
        return True

    def wait(self) -> None:
        """Return once nothing is on its way; raises what the save raised."""
        pending, self._pending = self._pending, None
        if pending is not None:
            future, observers = pending
            for recorded in future.result():
                notify(observers, recorded)

    def close(self) -> None:
        """`wait`, and give the memory back."""
        try:
            self.wait()
        finally:
            self._copies = None
            self._pool.shutdown()
