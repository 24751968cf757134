"""The places where Keras saves and loads, and the wrapper for each."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from kerasguard.recorder.calls import inner
from kerasguard.recorder.guarded_load import BACKUPS, copied_with_its_manifest
from kerasguard.recorder.orbax_steps import recorded_steps, saving_method
from kerasguard.recorder.patched_save import Context, recorded

__all__ = ["fits", "targets"]

Wrapper: TypeAlias = Callable[[Any], Any]

_PATHS = {"filepath", "src", "step"}  # what the wrappers look for among the arguments
_LOADS = ("load_model", "load_weights")
# Private: what the public functions call. Wrapped to see callers who hold those by name.
_INNER_LOADS = (
    ("keras.src.saving.saving_lib", "load_model"),
    ("keras.src.saving.saving_lib", "load_weights_only"),
    ("keras.src.legacy.saving.legacy_h5_format", "load_model_from_hdf5"),
)


def fits(original: Any) -> bool:
    """Whether a wrapper can find the path among the arguments of what it would replace."""
    if not callable(original):
        return False
    return bool(_PATHS & inspect.signature(original).parameters.keys())


def targets(
    contexts_of: Callable[[Any], list[Context]], guard: Callable[..., Any] | None
) -> Iterator[tuple[Any, str, Wrapper]]:
    """Each place to patch, as owner and name, and what makes its wrapper.

    Args:
        contexts_of: what a save of a model is recorded with; nothing: it is not recorded.
        guard: makes the wrapper of a load; None: loads are left alone. Of private functions only
            the calls by one module are wrapped (`called_by`).
    """
    from kerasguard.models import kerases

    saves = partial(recorded, contexts_of=contexts_of)
    for found in kerases.present(imported=False):
        for owner, name, caller in found.save_targets():
            yield owner, name, partial(saves, called_by=caller)
    keras = importlib.import_module("keras")
    yield (*saving_method(keras), partial(recorded_steps, contexts_of=contexts_of))
    copies = partial(copied_with_its_manifest, called_by=BACKUPS)
    yield from inner((("keras.src.utils.file_utils", "copy"),), copies)
    if guard is None:
        return
    yield keras.Model, "load_weights", guard
    yield from ((m, name, guard) for m in (keras.saving, keras.models) for name in _LOADS)
    public = keras.saving.save_model.__module__
    yield from inner(_INNER_LOADS, partial(guard, called_by=public))
