"""What a model is created on, or lives on: a strategy, a distribution, or neither.

A model belongs to the strategy in whose scope its variables were made, and is never moved to
another one: loading outside and training inside fails in TensorFlow, or trains one replica. What
it lives on is asked of the model. `strategy=`, an open scope and an active `keras.distribution`
are three ways to say the same.
"""

from __future__ import annotations

import contextlib
from typing import Any

from kerasguard.errors import ModelError
from kerasguard.models.kerases import KERAS3, Keras, of, variables_of
from kerasguard.models.kerases.backends import active_strategy, components, is_tensorflow_variable
from kerasguard.models.kerases.homes import (
    active_distribution,
    is_distribution,
    laid_out_otherwise,
    mesh_of,
    name_of,
    same_strategy,
    strategy_of,
)

__all__ = ["is_cut_up", "replica_count", "scope"]


def scope(strategy: Any, model: Any = None) -> contextlib.AbstractContextManager[Any]:
    """The scope to restore in.

    Args:
        strategy: a `tf.distribute.Strategy` or `keras.distribution` to create the model under;
            None for the active one.
        model: the caller's model, if there is one already.

    Raises:
        ModelError: `model` lives on something else than `strategy` or what is active, or its
            Keras computes with something that cannot be distributed so.
    """
    wanted = _wanted(strategy, model)
    if wanted is None:
        return contextlib.nullcontext()
    _check_backend(wanted, of(model))
    if model is not None:
        if variables_of(model):
            _check_home(wanted, model)
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[Any] = wanted.scope()
    return context if strategy is not None else contextlib.nullcontext()


def is_cut_up(strategy: Any) -> bool:
    """Whether a model that is built on `strategy`, or on what is active, lies on a mesh.

    Its devices then hold copies of what they are given.
    """
    return _wanted(strategy) is not None and of(None).backend() != "tensorflow"


def _wanted(strategy: Any, model: Any = None) -> Any:
    if strategy is None and of(model).backend() == "tensorflow":
        strategy = active_strategy()
    return active_distribution() if strategy is None else strategy


def replica_count(model: Any) -> int:
    """How many copies of its weights a model holds; 1 for a model without weights."""
    counts = [len(components(v)) for v in variables_of(model)[:1]]
    return counts[0] if counts else 1


def _check_backend(wanted: Any, keras: Keras) -> None:
    backend, name = keras.backend(), name_of(wanted)
    if is_distribution(wanted) and (backend != "jax" or keras is not KERAS3):
        raise ModelError(
            f"{name} of keras.distribution distributes nothing with the {backend} backend, where "
            "Keras ignores it; use KERAS_BACKEND=jax or a tf.distribute strategy, and call "
            "keras.distribution.set_distribution(None) first if it is active"
        )
    if not is_distribution(wanted) and backend != "tensorflow":
        raise ModelError(
            f"{name} is a strategy of TensorFlow and Keras computes with {backend}; use "
            "keras.distribution with JAX, or KERAS_BACKEND=tensorflow"
        )


def _check_home(wanted: Any, model: Any) -> None:
    name = name_of(wanted)
    if is_distribution(wanted):
        ours, theirs = mesh_of(model), _mesh(wanted)
        if ours != theirs:
            raise ModelError(
                f"model {model.name!r} lives on {_told(ours)}, {name} has {_told(theirs)}; build "
                "the model after keras.distribution.set_distribution(...), or in "
                "distribution.scope(): a built model cannot be moved"
            )
        if odd := laid_out_otherwise(model, wanted):
            raise ModelError(
                f"model {model.name!r} is on the mesh of {name} but not in its layout: {odd} is "
                "sharded differently; build the model in distribution.scope(): a built model "
                "cannot be "
                "moved"
            )
        return
    home = strategy_of(model)
    if not same_strategy(home, wanted):
        kind = "no strategy" if home is None else name_of(home)
        devices = ", ".join(sorted({_device(v) for v in components(variables_of(model)[0])}))
        raise ModelError(
            f"model {model.name!r} lives on {kind} ({replica_count(model)} replica(s), {devices}), "
            f"{name} has {wanted.num_replicas_in_sync}; create it inside strategy.scope(): a built "
            "model cannot be moved"
        )


def _device(variable: Any) -> str:
    if not is_tensorflow_variable(variable):
        return "unknown"
    return str(variable.device).rpartition("device:")[2] or "no device"


def _mesh(distribution: Any) -> tuple[tuple[str, int], ...]:
    mesh = distribution.device_mesh
    return tuple(zip(mesh.axis_names, map(int, mesh.shape), strict=True))


def _told(mesh: tuple[tuple[str, int], ...]) -> str:
    if not mesh:
        return "one device"
    return "a mesh of " + " x ".join(f"{axis}={size}" for axis, size in mesh)
