"""Every public way to save or load a Keras model, seen once: `patch`, `unpatch`, `patched`.

Wrapped are, of each Keras of the process, the methods of `Model`, the functions of its `saving`
and `models`, and the functions that those call, for callers who imported `save_model` by name
before. A save that runs inside another one is part of that one. Loads are wrapped where somebody
wants them guarded.

A callback records the saves of its own model only: `arm` keeps the wrappers in place as long as
such a model lives. Keras is imported by the first `patch` or `arm`, not by this module.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from kerasguard.arguments import check_flag, check_observers, check_probe
from kerasguard.errors import PatchError
from kerasguard.recorder.background import Background
from kerasguard.recorder.calls import Patch
from kerasguard.recorder.guarded_load import guarded
from kerasguard.recorder.patched_save import Context
from kerasguard.recorder.targets import fits, targets

__all__ = ["Context", "arm", "disarm", "patch", "patched", "unpatch"]


@dataclass
class _State:
    """All that is patched, and for whom; changed under `_lock` only."""

    everything: Context | None = None
    scopes: list[Context] = field(default_factory=list)
    armed: dict[int, tuple[weakref.ref[Any], list[Context]]] = field(default_factory=dict)
    patches: list[Patch] = field(default_factory=list)


_lock = threading.Lock()
_state = _State()
_thread = threading.local()


def patch(
    *,
    strict: bool = False,
    log_to_mlflow: bool | Literal["auto"] = "auto",
    probe: bool | Literal["layers"] = False,
    sha256: bool = True,
    background: bool = False,
    loads: bool = False,
    observers: Iterable[Callable[[Any], object]] = (),
) -> None:
    """From now on every save of every Keras model leaves a manifest; call it as often as you like.

    Args:
        strict: raise if recording fails, instead of warning; the checkpoint is saved either way.
        log_to_mlflow: `"auto"` logs the manifests where an MLflow run is active.
        probe: record what each model computes from a seeded input, as `kerasguard.record` does.
        sha256: False to leave out the files' SHA-256, as for `kerasguard.record`. A save has it if
            any block, `patch` or callback that records it wants it.
        background: copy the model's values and save them in a thread, so that the caller does not
            wait. Takes the model's size in memory. Only one save runs at a time; its errors are
            raised by the next one or by `unpatch`.
        loads: also verify every checkpoint that was recorded before Keras itself loads it
            (`load_model`, `load_weights`, the resume of `BackupAndRestore`), and raise GuardError
            if it was damaged since. Unrecorded checkpoints are loaded as usual.
        observers: called after each save with an event whose `path` and `manifest` describe what
            was recorded.

    Raises:
        ArgumentError: an argument is not understood; nothing was patched.
        MissingPackageError: Keras is not installed, or MLflow is not although it should be logged
            to.
    """
    context = _context(strict, log_to_mlflow, probe, observers, background, loads, sha256)
    with _lock:
        _state.everything = context
        _install()


def unpatch() -> None:
    """Restore the very functions that `patch` replaced; does nothing if nothing is patched.

    Also ends the recording that a `WeightManifestCallback` began.

    Raises:
        PatchError: somebody else has wrapped one of them since; nothing was changed.
    """
    with _lock:
        strangers = [p for p in _state.patches if not p.removable]
        if strangers:
            names = ", ".join(f"{p.owner.__name__}.{p.name}" for p in strangers)
            raise PatchError(
                f"{names}: patched by another library after kerasguard; undo that patch first, "
                "then call kerasguard.unpatch() again"
            )
        context, _state.everything = _state.everything, None
        _state.scopes.clear()
        _state.armed.clear()
        _remove()
    if context is not None and context.background is not None:
        context.background.close()


def patched(
    *,
    strict: bool = False,
    log_to_mlflow: bool | Literal["auto"] = "auto",
    probe: bool | Literal["layers"] = False,
    sha256: bool = True,
    background: bool = False,
    loads: bool = False,
    observers: Iterable[Callable[[Any], object]] = (),
) -> contextlib.AbstractContextManager[None]:
    """`patch` for the length of a `with` block; blocks may nest and overlap; errors as there.

    The end of the block waits for a save in the background, and raises what that raised.
    """
    return _patched(_context(strict, log_to_mlflow, probe, observers, background, loads, sha256))


@contextlib.contextmanager
def _patched(context: Context) -> Iterator[None]:
    with _lock:
        _state.scopes.append(context)
        _install()
    try:
        yield
    finally:
        try:
            if context.background is not None:
                context.background.close()
        finally:
            _end(context)


def _end(context: Context) -> None:
    with _lock:
        _state.scopes = [c for c in _state.scopes if c is not context]
        _remove_if_idle()


def arm(model: Any, context: Context) -> None:
    """Record the saves of `model` with `context`, until it is disarmed or no longer exists."""
    key = id(model)

    def forget(_: object) -> None:
        _state.armed.pop(key, None)
        # The collector may run anywhere, also where this very thread holds the lock.
        if _lock.acquire(blocking=False):
            try:
                _remove_if_idle()
            finally:
                _lock.release()

    with _lock:
        contexts = [*(c for c in _armed(model) if c is not context), context]
        _state.armed[key] = (weakref.ref(model, forget), contexts)
        _install()


def disarm(model: Any, context: Context) -> None:
    """Take `arm` back."""
    with _lock:
        contexts = [c for c in _armed(model) if c is not context]
        if contexts:
            _state.armed[id(model)] = (_state.armed[id(model)][0], contexts)
        elif _armed(model):
            del _state.armed[id(model)]
        _remove_if_idle()


def _armed(model: Any) -> list[Context]:
    reference, contexts = _state.armed.get(id(model), (None, []))
    return contexts if reference is not None and reference() is model else []


def _context(
    strict: bool,
    log_to_mlflow: bool | Literal["auto"],
    probe: Any,
    observers: Iterable[Callable[[Any], object]],
    background: bool,
    loads: bool,
    sha256: bool,
) -> Context:
    from kerasguard.tracking.mlflow_tracking import observer_for

    check_flag("strict", strict)
    check_flag("background", background)
    check_flag("loads", loads)
    check_flag("sha256", sha256)
    check_probe(probe, inputs=False)
    functions = check_observers(observers)
    observer = observer_for(log_to_mlflow)
    told: list[Callable[[Any], object]] = [] if observer is None else [observer]
    told += functions
    worker = Background() if background else None
    return Context(
        strict=strict,
        observers=tuple(told),
        probe=probe,
        sha256=sha256,
        background=worker,
        loads=loads,
    )


def _install() -> None:
    from kerasguard import models  # noqa: F401  # which says what to install

    for done in _state.patches:
        if done.removable:  # somebody may have put the original back
            setattr(done.owner, done.name, done.wrapper)
    present = {(id(done.owner), done.name) for done in _state.patches}
    loads = bool(_state.armed) or any(context.loads for context in _everyone())
    guard = partial(guarded, wanted=_is_guarded, resumed=_resumed) if loads else None
    for owner, name, wrapped in targets(_contexts, guard):
        original = vars(owner).get(name)
        if fits(original) and (id(owner), name) not in present:
            done = Patch(owner, name, original, wrapped(original))
            setattr(owner, name, done.wrapper)
            _state.patches.append(done)


def _remove_if_idle() -> None:
    # A stranger's wrapper around one of ours stays, and ours only passes calls on.
    idle = not (_state.everything or _state.scopes or _state.armed)
    if idle and all(done.removable for done in _state.patches):
        _remove()


def _remove() -> None:
    for done in _state.patches:
        setattr(done.owner, done.name, done.original)
    _state.patches.clear()


def _contexts(model: Any) -> list[Context]:
    """What a save of `model` is recorded with; nothing: it is not recorded."""
    from kerasguard.models import kerases

    if not kerases.is_model(model):
        return []
    return [*_everyone()[:1], *_armed(model)]


def _everyone() -> list[Context]:
    return [c for c in (_state.everything, *_state.scopes) if c is not None]


def _is_guarded(model: Any, resuming: bool) -> bool:
    """Whether a load of Keras is verified first: all, or the backups of a callback's model."""
    return any(c.loads for c in _everyone()) or (resuming and bool(_armed(model)))


def _resumed(model: Any, path: Path) -> None:
    """Have a callback of the model finish what Keras' load began."""
    finish = next((c.resumed for c in _armed(model) if c.resumed is not None), None)
    if finish is not None:
        finish(model, path)
