"""Which old checkpoints of a run may be deleted: those that nothing is lost with.

Checkpoints whose paths differ in numbers only are of one series, and each series keeps its own: a
backup that is written over and over does not push epochs out.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasguard.errors import KerasguardError
from kerasguard.formats import candidates
from kerasguard.manifest import Manifest
from kerasguard.storage import removal, sidecar

__all__ = ["Retention", "series_of"]

_NUMBER = re.compile(r"[-+]*(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|nan|inf)", re.IGNORECASE)


def series_of(path: Path) -> str:
    """What is the same in all paths that one template makes."""
    return _NUMBER.sub("#", str(path))


@dataclass(frozen=True)
class _Known:
    """What is needed of a manifest, without the thousands of its records."""

    checkpoint_id: str
    training: Mapping[str, Any]

    @staticmethod
    def of(manifest: Manifest) -> _Known:
        return _Known(manifest.checkpoint_id, dict(manifest.training))

    def metric(self, name: str) -> float:
        """A metric as it was recorded; NaN where it was not, or is not a number."""
        try:
            return float(self.training.get("metrics", {}).get(name, "nan"))
        except (TypeError, ValueError):
            return math.nan


@dataclass(eq=False)
class Retention:
    """An observer of saves that deletes old ones; plain data, so that it can be copied.

    Args:
        keep: how many of each series, the newest, are kept in any case.
        monitor: the metric that decides which is best; the best is kept besides.
        logged: whether manifests go to MLflow; what has not arrived there is kept.
        directions: which way the metric is better, `min` or `max`; both where nobody knows.
        first_epoch: in which the training began, once that is known; where it is not 0, the run
            goes on, and the checkpoints of the same series from before are this run's too.
    """

    keep: int
    monitor: str
    logged: bool = False
    directions: Collection[str] = ("min", "max")
    first_epoch: int | None = None
    _saved: dict[str, dict[Path, _Known]] = field(default_factory=dict)
    _told: bool = False

    def begin(self, *, logged: bool) -> None:
        """A training begins: what an earlier one saved is none of this one's."""
        self.logged, self.first_epoch, self._told = logged, None, False
        self._saved.clear()

    def begin_epoch(self, epoch: int) -> None:
        """Note the first epoch of a training."""
        if self.first_epoch is None:
            self.first_epoch = epoch

    def __call__(self, event: Any) -> None:
        """Note a save and delete what is no longer needed; what fails is told in a warning."""
        path = event.path.absolute()
        name = series_of(path)
        if name not in self._saved:
            self._saved[name] = dict(self._from_before(path, name))
        saved = self._saved[name]
        saved.pop(path, None)
        saved[path] = _Known.of(event.manifest)
        self._thin(saved)

    def finish(self) -> None:
        """Delete what had not arrived in MLflow when it was its turn, and has now."""
        for saved in self._saved.values():
            self._thin(saved)

    def _from_before(self, path: Path, name: str) -> Iterator[tuple[Path, _Known]]:
        """Recorded checkpoints of a series that an interrupted run left, oldest first."""
        if not self.first_epoch:
            return
        found = []
        for entry in candidates([other.name for other in path.parent.iterdir()]):
            other = path.with_name(entry)
            if other == path or series_of(other) != name:
                continue
            try:
                manifest = sidecar.read(other)
            except (KerasguardError, OSError):
                continue
            epoch = manifest.training.get("epoch") if manifest else None
            if manifest and isinstance(epoch, int) and epoch < self.first_epoch:
                found.append((epoch, manifest.training.get("step") or 0, other, manifest))
        for *_, other, manifest in sorted(found, key=lambda one: one[:2]):
            yield other, _Known.of(manifest)

    def _thin(self, saved: dict[Path, _Known]) -> None:
        old = list(saved)[: -self.keep]
        best = self._best(saved) if old else set()
        old = [path for path in old if path not in best]
        waiting = _waiting() if old and self.logged else set()
        old = [path for path in old if saved[path].checkpoint_id not in waiting]
        if not old or not self._a_newer_one_verifies(saved):
            return
        for message in [told for path in old if (told := self._deleted(path, saved))]:
            warnings.warn(message, UserWarning, stacklevel=4)

    def _deleted(self, path: Path, saved: dict[Path, _Known]) -> str:
        """Delete one; what is to be told of it, if anything."""
        try:
            gone = removal.remove(path, saved[path].checkpoint_id)
        except OSError as error:
            return f"{path}: cannot be deleted: {error}"
        del saved[path]
        if gone or not path.exists():
            return ""
        return f"{path}: is no longer what was recorded, so it is not deleted"

    def _best(self, saved: dict[Path, _Known]) -> set[Path]:
        told = {path: known.metric(self.monitor) for path, known in saved.items()}
        known = {path: value for path, value in told.items() if not math.isnan(value)}
        picks = {"min": min, "max": max}
        # Of equal ones the first, as Keras has it.
        return {picks[way](known, key=lambda p: known[p]) for way in self.directions if known}

    def _a_newer_one_verifies(self, saved: dict[Path, _Known]) -> bool:
        """Whether, right now, one of those that stay agrees with its manifest."""
        for path in reversed(list(saved)[-self.keep :]):
            try:
                manifest = sidecar.read(path)
            except (KerasguardError, OSError):
                continue
            if manifest is not None and removal.intact(path, manifest):
                return True
        if not self._told:
            self._told = True
            what = "none of the newest checkpoints matches its manifest; no older one is deleted"
            warnings.warn(f"{next(iter(saved)).parent}: {what}", UserWarning, stacklevel=4)
        return False


def _waiting() -> set[str]:
    from kerasguard.tracking.mlflow_tracking import waiting

    return waiting()
