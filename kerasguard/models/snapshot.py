"""What a model's variables hold at one moment, for a thread that saves while training goes on.

The values are copied. In Keras' own `StatelessScope`, which counts for one thread only, every
variable then has the value that was copied, whatever code reads it: Keras' saving, a layer's, ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from kerasguard.models import variables
from kerasguard.models.kerases import KERAS3, is_variable, of
from kerasguard.models.kerases.backends import components
from kerasguard.models.live_model import LiveModel
from kerasguard.models.unwritten import hidden_state
from kerasguard.storage.arena import aligned
from kerasguard.tensors.elements import Array

__all__ = ["Copies", "obstacle"]


def obstacle(model: Any) -> str:
    """Why a model cannot be saved from another thread; empty where it can."""
    if of(model) is not KERAS3:
        return f"{of(model).NAME} cannot give another thread a consistent snapshot"
    live = LiveModel.of(model)
    for visit in live.visits:
        for name in ("save_own_variables", "save_assets"):
            method = getattr(type(visit.object), name, None)
            if method is not None and method.__module__.split(".")[0] != "keras":
                return f"{type(visit.object).__name__}.{name} may read what training changes"
    held = [*(p.value for p in live.places), *(h.holder for h in _hidden(live) if h.is_variable)]
    if not all(is_variable(value, model) for value in held):
        return "some of its state is in no Keras variable"
    if any(len(components(v)) > 1 for v in held) or not _is_local(model):
        return "its variables are distributed"
    return ""


def _is_local(model: Any) -> bool:
    strategy = getattr(model, "distribute_strategy", None)
    return getattr(strategy, "num_replicas_in_sync", 1) == 1


def _hidden(live: LiveModel) -> list[Any]:
    return list(hidden_state(live.model, live.visits, live.places))


class Copies:
    """Memory for a copy of a model's variables, used again by every save."""

    def __init__(self) -> None:
        self._arrays: dict[int, Array] = {}

    def take(self, model: Any) -> Snapshot:
        """Copy what all variables hold now; what was copied before is overwritten."""
        found = {id(v): v for v in _variables(model)}
        arrays = {key: self._copied(key, variables.held(v)) for key, v in found.items()}
        self._arrays = arrays
        return Snapshot([(found[key], array) for key, array in arrays.items()])

    def _copied(self, key: int, now: Array) -> Array:
        before = self._arrays.get(key)
        if before is None or before.shape != now.shape or before.dtype != now.dtype:
            before = aligned(now.nbytes).view(now.dtype).reshape(now.shape)
        np.copyto(before, now)
        return before


class Snapshot:
    """Values of variables, and what else of Keras belongs to the thread that they were taken in."""

    def __init__(self, values: list[tuple[Any, Array]]) -> None:
        self._values = values
        self._policy = keras.config.dtype_policy()
        self._custom_objects = KERAS3.scoped_objects()

    @contextmanager
    def in_this_thread(self) -> Iterator[None]:
        """Whoever reads a variable here gets the copy; other threads notice nothing."""
        values = [(v, variables.tensor_over(array)) for v, array in self._values]
        with ExitStack() as stack:
            stack.enter_context(keras.StatelessScope(values))
            stack.enter_context(keras.saving.custom_object_scope(self._custom_objects))
            before = keras.config.dtype_policy()
            stack.callback(keras.config.set_dtype_policy, before)
            keras.config.set_dtype_policy(self._policy)
            yield


def _variables(model: Any) -> Iterator[Any]:
    """Every Keras variable that a save may read."""
    live = LiveModel.of(model)
    yield from (place.value for place in live.places)
    yield from (item.holder for item in _hidden(live) if item.is_variable)
    optimizer = getattr(model, "optimizer", None)
    yield from (*model.variables, *model.metrics_variables, *getattr(optimizer, "variables", ()))
