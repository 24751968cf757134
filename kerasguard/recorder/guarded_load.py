"""Keras' own loads of checkpoints that somebody recorded: verified first, refused if damaged.

What Keras reads is compared: the checkpoint's files. The companion is none of its business. What
nobody recorded is loaded as ever.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kerasguard.errors import CheckpointError, GuardError, ManifestError, listed
from kerasguard.formats import open_checkpoint
from kerasguard.manifest import Manifest
from kerasguard.recorder.as_written import digested
from kerasguard.storage import relocation, sidecar
from kerasguard.storage.as_recorded import as_recorded, opened
from kerasguard.storage.file_survey import skeleton_differences
from kerasguard.storage.pair import undisturbed

__all__ = ["BACKUPS", "check", "copied_with_its_manifest", "guarded"]

BACKUPS = "keras.src.callbacks.backup_and_restore"
"""The module of Keras whose loads resume a training."""
_thread = threading.local()

Wanted = Callable[[Any, bool], bool]
"""Whether a load into a model (None where one is built) is guarded; and whether it resumes."""


def guarded(
    original: Callable[..., Any],
    wanted: Wanted,
    resumed: Callable[[Any, Path], None],
    *,
    called_by: str = "",
) -> Callable[..., Any]:
    """Wrap a function or method of Keras that loads from its argument `filepath`.

    Args:
        original: Keras' own.
        wanted: tells which loads are verified.
        resumed: is called with model and path after Keras has resumed a training.
        called_by: a module; calls from anywhere else are left alone.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def load(*args: Any, **kwargs: Any) -> Any:
        caller = _caller()
        given = _given(signature, args, kwargs) if called_by in ("", caller) else None
        if given is None or given[1] in _under_way():
            return original(*args, **kwargs)  # private, or part of the load around it
        if wanted(given[0], caller == BACKUPS):
            check(given[1])
        with _loading(given[1]):
            done = original(*args, **kwargs)
        if caller == BACKUPS and given[0] is not None:
            resumed(*given)
        return done

    return load


def copied_with_its_manifest(
    original: Callable[..., Any], *, called_by: str = ""
) -> Callable[..., Any]:
    """Wrap the function by which Keras keeps a backup's predecessor, and puts it back."""

    @functools.wraps(original)
    def copy(src: Any, dst: Any) -> Any:
        caller = _caller()
        done = original(src, dst)
        if caller == called_by and "://" not in f"{src}{dst}":
            with contextlib.suppress(OSError):  # unrecorded is what it would have been
                relocation.carry(Path(src), Path(dst))
        return done

    return copy


def check(path: Path) -> None:
    """Raise where a checkpoint that somebody recorded is not, byte for byte, what it was then.

    Raises:
        GuardError: names the file, the tensors that differ and what to do.
    """
    with contextlib.ExitStack() as stack:
        try:
            with undisturbed(path):
                manifest = sidecar.read(path)
                if manifest is None:
                    return
                manifest = replace(manifest, companion=None, unwritten=())
                files = opened(path, manifest, stack)
            if as_recorded(files, manifest):
                return
            problem = _difference(path, manifest)
        except ManifestError as error:
            problem = f"its manifest cannot be read: {error}"
        except CheckpointError as error:
            problem = str(error).removeprefix(f"{path}: ")
    if problem:
        raise GuardError(
            path,
            f"differs from its manifest, so nothing was loaded: {problem}. Restore it from a "
            f"copy, or the newest that verifies: kerasguard.latest({str(path.parent)!r}). To load "
            f"it anyway, move {sidecar.place_of(path).name} away",
        )


def _difference(path: Path, manifest: Manifest) -> str:
    """What differs, in the words of a message; empty where the quick look was wrong."""
    with open_checkpoint(path) as checkpoint:
        around = skeleton_differences(checkpoint.files(), manifest)
        stored = digested(checkpoint, sha256=False)[0].tensors
    recorded = manifest.table.tensors
    odd = [
        record.label
        for key, record in recorded.items()
        if key not in stored or stored[key].digest != record.digest
    ]
    told = []
    if odd:
        told.append(f"{len(odd)} of {len(recorded)} tensors differ ({listed(odd, 5)})")
    if around:
        told.append(f"bytes outside the tensors differ in {listed(around, 5)}")
    return "; ".join(told)


def _given(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Path] | None:
    """Model, or None where one is built, and file of a load; None for what is not a local path."""
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None  # raises what it always raised
    first, path = next(iter(bound.values())), bound.get("filepath")
    if not isinstance(path, (str, os.PathLike)) or "://" in str(path):
        return None
    return None if first is path else first, Path(path)


def _under_way() -> tuple[Path, ...]:
    return getattr(_thread, "loading", ())


@contextlib.contextmanager
def _loading(path: Path) -> Iterator[None]:
    before = _under_way()
    try:
        _thread.loading = (*before, path)
        yield
    finally:
        _thread.loading = before


def _caller() -> str:
    """The module whose function called the wrapper that asks."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame else None
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""
