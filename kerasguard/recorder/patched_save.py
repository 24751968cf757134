"""One call of a function that saves a model: what is recorded of it, and nothing else changed.

The wrapper hands Keras' own function another path to write to, by way of `recording.save`.
Arguments, return value, prompts and exceptions stay those of the function; where recording fails,
the save has happened all the same.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kerasguard.errors import KerasguardError
from kerasguard.recorder import elsewhere, notices, recording, workers
from kerasguard.recorder.background import Background
from kerasguard.recorder.calls import Outer, comes_from, is_recordable, place_of
from kerasguard.storage.commit import staged
from kerasguard.storage.remote import is_remote
from kerasguard.storage.written import signatures

__all__ = ["Context", "recorded", "told_of", "unrecorded"]

_outer = Outer()


@dataclass
class Context:
    """What a save is recorded with.

    Args:
        training: epoch and metrics as of now; read when a save happens.
        observers: told of every manifest.
        strict: raise where recording fails, instead of a warning.
        saves: how many saves were seen, recorded or not.
        probe: as for `kerasguard.record`.
        sha256: the same; made if any of a save's contexts wants it.
        background: does the saves where the caller need not wait for them.
        loads: whether Keras' own loads are verified first.
        resumed: called with a model and the backup that Keras has just resumed its training from.
    """

    training: dict[str, Any] = field(default_factory=dict)
    observers: tuple[Callable[[Any], object], ...] = ()
    strict: bool = False
    saves: int = 0
    probe: Any = False
    sha256: bool = True
    background: Background | None = None
    loads: bool = False
    resumed: Callable[[Any, Path], None] | None = None


unrecorded = _outer.entered
"""Saves of this thread inside the block are Keras' own, for who records them himself."""


def recorded(
    original: Callable[..., Any],
    contexts_of: Callable[[Any], list[Context]],
    *,
    called_by: str = "",
) -> Callable[..., Any]:
    """Wrap a function or method `(model, filepath, ...)` that saves a model.

    Args:
        original: Keras' own.
        contexts_of: what a save of a model is recorded with; an empty list leaves it alone.
        called_by: a module; calls from anywhere else are left alone.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def save(*args: Any, **kwargs: Any) -> Any:
        if not comes_from(called_by) or _outer.is_under_way():
            return original(*args, **kwargs)  # part of the save around it, or private
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return original(*args, **kwargs)  # raises what it always raised
        bound.apply_defaults()
        model = next(iter(bound.arguments.values()))
        contexts = contexts_of(model) if is_recordable(bound) else []
        if contexts and is_remote(bound.arguments["filepath"]):
            return _saved_elsewhere(original, bound, model, contexts)
        place = place_of(bound.arguments["filepath"]) if contexts else None
        if place is None:
            return original(*args, **kwargs)
        if not bound.arguments.get("overwrite", True) and place.exists():
            from kerasguard.models import kerases

            if not kerases.of(model).may_overwrite(bound.arguments["filepath"]):
                return None
            bound.arguments["overwrite"] = True
        return _Save(original, bound, place, model, contexts).started()

    return save


def _saved_elsewhere(
    original: Callable[..., Any],
    bound: inspect.BoundArguments,
    model: Any,
    contexts: list[Context],
) -> Any:
    """Save to an address: here, with a manifest, and sent; or as Keras alone does, and told."""
    url = str(bound.arguments["filepath"])
    if not workers.is_chief(model):
        with unrecorded(), workers.put_aside(url) as place:
            bound.arguments["filepath"] = place
            return original(*bound.args, **bound.kwargs)
    try:
        files = elsewhere.files_at(url)
    except KerasguardError as error:
        with unrecorded():
            result = original(*bound.args, **bound.kwargs)
        for context in contexts:
            context.saves += 1
        warnings.warn(f"{url}: saved without a manifest ({error})", stacklevel=3)
        return result
    told: list[recording.Recorded] = []
    with elsewhere.sent_to(url, files) as (place, send):
        bound.arguments["filepath"] = str(place)
        result = _Save(original, bound, place, model, contexts).waited_for(told.append)
        send()
        for event in told:
            recording.notify(dict.fromkeys(o for c in contexts for o in c.observers), event)
    return result


class _Save:
    """A save that no other one contains."""

    def __init__(
        self,
        original: Callable[..., Any],
        bound: inspect.BoundArguments,
        place: Path,
        model: Any,
        contexts: list[Context],
    ) -> None:
        self.original, self.bound, self.place = original, bound, place
        self.model, self.contexts = model, contexts
        self.filepath = bound.arguments["filepath"]
        self.result: Any = None
        self.attempted = False
        self.state: Literal["before", "writing", "written"] = "before"

    def write(self, path: Path) -> Any:
        """Keras' own save, to `path`; a second attempt does without anything of ours."""
        from kerasguard.models.fast_walk import fast_walk
        from kerasguard.models.optimizer_configs import compile_arguments_kept

        staged = str(path) if isinstance(self.filepath, str) else path
        self.bound.arguments["filepath"] = self.filepath if path == self.place else staged
        walk = contextlib.nullcontext() if self.attempted else fast_walk()
        self.attempted = True
        # Of all that saves only `export` prints where to.
        told = str(self.filepath) if self.original.__name__ == "export" else str(path)
        with walk, compile_arguments_kept(self.model), notices.printed_as(told, str(path)):
            self.state = "writing"
            self.result = self.original(*self.bound.args, **self.bound.kwargs)
            self.state = "written"
        return self.result

    def started(self) -> Any:
        """Save in the background where that was asked for and can be done, else here and now."""
        if not workers.is_chief(self.model):
            return self.beside_the_chiefs()
        workers.announce(self.model, self.place)
        observers = tuple(dict.fromkeys(o for c in self.contexts for o in c.observers))
        threads = [c.background for c in self.contexts if c.background is not None]
        if threads:
            told = self.training()

            def save(observer: recording.Observer) -> None:
                self.run((observer,), lambda: told)

            threads[-1].wait()
            apart = "format" not in self.bound.arguments and self._probe() is False
            if apart and threads[-1].start(self.model, save, observers):
                return None
        return self.run(observers, self.training)

    def waited_for(self, observer: recording.Observer) -> Any:
        """Save here and now, after what is being saved in the background."""
        for context in self.contexts:
            if context.background is not None:
                context.background.wait()
        return self.run((observer,), self.training)

    def run(
        self,
        observers: tuple[recording.Observer, ...],
        training: Callable[[], Mapping[str, Any]],
    ) -> Any:
        """Save and record; what the save itself raises or returns is passed on."""
        before = self._seen()
        strict = any(context.strict for context in self.contexts)
        try:
            with unrecorded():
                recording.save(
                    self.write,
                    self.place,
                    self.model,
                    training=training,
                    observers=observers,
                    strict=strict,
                    probe=self._probe(),
                    sha256=any(context.sha256 for context in self.contexts),
                )
        except Exception as error:
            if self.state == "writing" or isinstance(error, OSError):
                raise  # the save's own, or it did not reach the disk
            if self._seen() == before:
                if workers.together(self.model):
                    raise  # this worker cannot write it once more by itself
                with unrecorded():
                    self.without_manifest()
            if strict or isinstance(error, Warning):
                raise
            warnings.warn(f"{self.place}: saved, but not recorded: {error}", stacklevel=3)
        for context in self.contexts:
            context.saves += 1
        return self.result

    def _probe(self) -> Any:
        """What the latest of the contexts wants that want any."""
        wanted = [c.probe for c in self.contexts if c.probe is not None and c.probe is not False]
        return wanted[-1] if wanted else False

    def beside_the_chiefs(self) -> Any:
        """The save of a worker that is not the chief: Keras' own, and never over the chief's."""
        with unrecorded(), staged(self.place) as stage:
            stage.write(self.write)
            if stage.checkpoint is not None and not workers.is_chiefs(self.model, self.place):
                stage.commit(None)
        for context in self.contexts:
            context.saves += 1
        return self.result

    def without_manifest(self) -> None:
        """The save alone; an older manifest would call it a forgery."""
        with staged(self.place) as stage:
            stage.write(self.write)
            stage.commit(None)

    def training(self) -> Mapping[str, Any]:
        """Epoch and metrics of the callback that was armed last, and the optimizer's step."""
        return told_of(self.model, self.contexts)

    def _seen(self) -> tuple[object, ...]:
        return signatures(self.place)


def told_of(model: Any, contexts: list[Context]) -> Mapping[str, Any]:
    """Epoch and metrics of the callback that was armed last, and the optimizer's step."""
    from kerasguard.models.kerases import backends

    told = dict(contexts[-1].training)
    if "metrics" in told:
        told["metrics"] = dict(backends.arrived(told["metrics"]))
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    if told and iterations is not None:
        told["step"] = int(backends.to_numpy(iterations)) - 1
    return told
