"""The distribution strategy that a model is created under.

A model belongs to the strategy in whose scope its variables were made, and is never moved to
another one: loading outside and training inside fails in TensorFlow, or trains one replica.
"""

from __future__ import annotations

import contextlib
from typing import Any

import keras

from kerasguard.errors import ModelError
from kerasguard.models import variables

__all__ = ["replica_count", "scope", "several_workers"]


def scope(strategy: Any, model: Any = None) -> contextlib.AbstractContextManager[Any]:
    """The scope to restore in.

    Args:
        strategy: a `tf.distribute.Strategy` to create the model under; None for the active one.
        model: the caller's model, if there is one already.

    Raises:
        ModelError: `model` was created under another strategy than `strategy`.
    """
    if strategy is None:
        return contextlib.nullcontext()
    if model is None:
        context: contextlib.AbstractContextManager[Any] = strategy.scope()
        return context
    replicas = replica_count(model)
    wanted = strategy.num_replicas_in_sync
    if replicas != wanted:
        name = type(strategy).__name__
        raise ModelError(
            f"model {model.name!r} was created with {replicas} replica(s), {name} has {wanted}; "
            "create it inside strategy.scope(), a built model cannot be moved"
        )
    return contextlib.nullcontext()


def replica_count(model: Any) -> int:
    """How many copies of its weights a model holds; 1 for a model without weights."""
    if keras.backend.backend() != "tensorflow":
        return 1
    counts = [len(variables.components(v)) for v in model.variables[:1]]
    return counts[0] if counts else 1


def several_workers(model: Any) -> bool:
    """Whether other processes must take part in whatever the model computes."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return bool(jax.process_count() > 1)
    if backend == "torch":
        from torch import distributed

        ready = distributed.is_available() and distributed.is_initialized()
        return bool(ready and distributed.get_world_size() > 1)
    resolver = getattr(getattr(model, "distribute_strategy", None), "cluster_resolver", None)
    if resolver is None:
        return False
    return sum(len(tasks) for tasks in resolver.cluster_spec().as_dict().values()) > 1
