"""What `keras.callbacks.OrbaxCheckpoint` saves: recorded once Orbax has finished writing it.

Orbax writes a step beside its place and renames it there, so nothing is staged here. The step has
to be complete before it can be digested, and the model must not move on before it is compared with
it: a step that is recorded is waited for.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kerasguard.recorder import notices, recording, spread
from kerasguard.recorder.patched_save import Context, told_of
from kerasguard.storage import companion, durable, sidecar

__all__ = ["recorded_steps", "saving_method"]


def saving_method(keras: Any) -> tuple[Any, str]:
    """The class and its method, private, that every step goes through; Keras has it since 3.14."""
    return getattr(keras.callbacks, "OrbaxCheckpoint", keras.Model), "_save_checkpoint"


def recorded_steps(
    original: Callable[..., Any], contexts_of: Callable[[Any], list[Context]]
) -> Callable[..., Any]:
    """Wrap the method of Keras' callback that saves a step.

    Args:
        original: `OrbaxCheckpoint._save_checkpoint`.
        contexts_of: what a save of a model is recorded with; an empty list leaves it alone.
    """

    @functools.wraps(original)
    def save(self: Any, step: int, *args: Any, **kwargs: Any) -> Any:
        result = original(self, step, *args, **kwargs)
        contexts = contexts_of(self.model)
        if contexts:
            self.wait_until_finished()  # of all processes
            path = Path(self.directory, str(step))
            if not self.is_primary_host():
                spread.tell(self.model, path)
            elif path.is_dir():
                _record(path, self.model, contexts)
        return result

    return save


def _record(path: Path, model: Any, contexts: list[Context]) -> None:
    strict = any(context.strict for context in contexts)
    wanted = [c.probe for c in contexts if c.probe is not None and c.probe is not False]
    try:
        manifest, kept = recording.survey_checkpoint(
            path,
            model,
            training=told_of(model, contexts),
            previous=path,
            probe=wanted[-1] if wanted else False,
            strict=strict,
            sha256=any(context.sha256 for context in contexts),
        )
        with durable.locked(path.resolve().parent):
            companion.write(path, manifest, kept)
            sidecar.write(path, manifest)
            companion.retire(path, manifest)
        notices.warn_of(path, manifest)
        observers = dict.fromkeys(o for context in contexts for o in context.observers)
        recording.notify(observers, recording.Recorded(path, manifest))
    except Exception as error:
        if strict or isinstance(error, Warning):
            raise
        warnings.warn(f"{path}: saved, but not recorded: {error}", UserWarning, stacklevel=4)
    for context in contexts:
        context.saves += 1
    for gone in _left_behind(path.parent):
        gone.unlink(missing_ok=True)


def _left_behind(folder: Path) -> Iterator[Path]:
    """Manifests and companions of steps that Orbax has deleted since."""
    for place in folder.iterdir():
        step = place.name.partition(".")[0]
        ours = place.name == f"{step}{sidecar.SUFFIX}" or companion.is_companion(place.name)
        if step.isdecimal() and ours and not (folder / step).exists():
            yield place
