"""Every exception that kerasguard raises on purpose, and how messages list and suggest names.

Damage to one tensor is a `Finding`, not an exception: exceptions are for what
stops the work.

    KerasguardError
    ├── CheckpointError             the checkpoint cannot be read
    │   ├── CheckpointNotFoundError     nothing lies there (also a FileNotFoundError)
    │   ├── UnknownFormatError          the content is not a checkpoint that kerasguard knows
    │   ├── CorruptCheckpointError      the container is broken (truncated, bad CRC, ...)
    │   ├── PinnedDigestError           it is not the one whose digest the caller demands
    │   ├── BadWriteError               a save did not reach the disk as it was (also an OSError)
    │   └── GuardError                  Keras was to load what is not as recorded (also an OSError)
    ├── ManifestError               the manifest cannot be read; `.where` says at which place
    │   ├── ManifestMissingError        only where the caller demanded one
    │   └── UnsupportedManifestError    a newer schema
    ├── ArchitectureError           the stored config cannot be built; nothing was built
    ├── ModelError                  the caller's model cannot take part (never built, ...)
    ├── UnrepairableError           some tensors have no allowed step; see `.report`
    ├── WorkersError                of several workers one cannot go on, so none does
    ├── OutputError                 what a repair would write is in the way of something
    ├── RestoreError                assigning failed; the model was rolled back
    ├── PatchError                  somebody else patched the same method meanwhile
    ├── ArgumentError               an argument is none of those allowed (also a ValueError)
    └── MissingPackageError         an extra is not installed (also an ImportError)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "ArgumentError",
    "ArchitectureError",
    "BadWriteError",
    "CheckpointError",
    "CheckpointNotFoundError",
    "CorruptCheckpointError",
    "GuardError",
    "KerasguardError",
    "ManifestError",
    "ManifestMissingError",
    "MissingPackageError",
    "ModelError",
    "OutputError",
    "PatchError",
    "PinnedDigestError",
    "RestoreError",
    "UnknownFormatError",
    "UnrepairableError",
    "UnsupportedManifestError",
    "WorkersError",
]


class KerasguardError(Exception):
    """Base of all exceptions that kerasguard raises on purpose."""


class CheckpointError(KerasguardError):
    """A checkpoint cannot be read.

    Args:
        path: the checkpoint; starts the message.
        message: what happened, what was expected, what to do.
    """

    def __init__(self, path: str | os.PathLike[str], message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """Nothing lies at the path, nor does a checkpoint have it as its prefix."""


class UnknownFormatError(CheckpointError):
    """The content is not a checkpoint that kerasguard can read."""


class CorruptCheckpointError(CheckpointError):
    """The container is broken; damage to a single tensor is a `Finding` instead."""


class PinnedDigestError(CheckpointError):
    """The checkpoint is not the one whose digest the caller demands; nothing was assigned."""


class BadWriteError(CheckpointError, OSError):
    """What a save left on the disk is not what the model holds; what was there before is kept.

    Args:
        path: where it was to be saved.
        message: what happened.
        held: of each tensor that differs, by its label, the digest of what the model holds.
    """

    def __init__(
        self, path: str | os.PathLike[str], message: str, held: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(path, message)
        self.held = held or {}


class GuardError(CheckpointError, OSError):
    """Keras itself was to load a recorded checkpoint that is damaged; nothing was loaded.

    An OSError, so that `BackupAndRestore(double_checkpoint=True)` turns to the backup before.
    """


class ManifestError(KerasguardError):
    """A manifest cannot be read or contradicts itself.

    Args:
        message: what is wrong.
        where: dotted path inside the manifest (`tensors[3].shape`), grows as the error rises.
        path: the sidecar, where it is known.
    """

    def __init__(
        self, message: str, *, where: str = "", path: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.where, self.path = message, where, path

    def __str__(self) -> str:
        prefix = "" if self.path is None else f"{self.path}: "
        suffix = f" (at {self.where})" if self.where else ""
        return f"{prefix}{self.message}{suffix}"


class ManifestMissingError(ManifestError):
    """A manifest was demanded and there is none."""


class UnsupportedManifestError(ManifestError):
    """The manifest has a newer schema, or requires a feature that this version does not know."""


class ArchitectureError(KerasguardError):
    """The stored architecture cannot be built; nothing was built."""


class ModelError(KerasguardError):
    """The model that the caller gave cannot take part, for example it was never built."""


class UnrepairableError(KerasguardError):
    """Some tensors have no step that the policy allows; nothing was assigned or written.

    Args:
        message: the findings, a line each, and what to do.
        report: a `kerasguard.Report`: what was expected, recorded and stored, and why it does
            not fit. (Typed `Any`: errors stand below everything and import nothing.)
    """

    def __init__(self, message: str, report: Any) -> None:
        super().__init__(message)
        self.report = report


class WorkersError(KerasguardError):
    """Of the workers that load a checkpoint together one cannot go on, so none of them does.

    Args:
        name: of the checkpoint; starts the message.
        message: which workers, why, what to do.
        reasons: by a worker's rank, why it cannot go on; empty where they lost each other.
    """

    def __init__(self, name: str, message: str, reasons: Mapping[int, str] | None = None) -> None:
        super().__init__(f"{name}: {message}")
        self.reasons = dict(reasons or {})


class OutputError(KerasguardError):
    """What was to be written cannot be written there; nothing was written.

    Args:
        path: where it was to be written; starts the message.
        message: what is in the way and what to do.
    """

    def __init__(self, path: str | os.PathLike[str], message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class RestoreError(KerasguardError):
    """Assigning failed half-way; the model is as it was before."""


class PatchError(KerasguardError):
    """A patched method is no longer kerasguard's wrapper, so it cannot be taken back."""


class ArgumentError(KerasguardError, ValueError):
    """An argument is not understood; nothing was opened, read or changed."""


class MissingPackageError(KerasguardError, ImportError):
    """What was asked for needs a package that only an extra of kerasguard installs."""


def nearest(text: str, known: Iterable[str]) -> str:
    """The word among `known` that is most like `text`; empty where none is like it."""
    import difflib  # only where something is wrong

    found = difflib.get_close_matches(text, list(known), 1)
    return found[0] if found else ""


def listed(names: Sequence[str], limit: int = 4) -> str:
    """Names for a message: at most `limit` of them, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{', '.join(names[:limit])}{more}"
