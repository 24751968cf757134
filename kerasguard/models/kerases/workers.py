"""The processes that a model is trained by together: who they are, and how they tell each other.

What they say goes through the key-value store that their engine has for its own coordination
(TensorFlow's coordination service, JAX's distributed client). Unlike a collective, a wait for a key
has a limit, and whoever fails can still say so.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kerasguard.models.kerases import of, variables_of
from kerasguard.models.kerases.backends import active_strategy, several_processes, sharding_of
from kerasguard.models.kerases.homes import active_distribution, is_distribution, strategy_of

__all__ = ["Channel", "channel", "count", "is_chief", "leads", "saves_together"]

_ABORTED = 10  # of TensorFlow's error codes
_SLICE = 1.0
"""Seconds of one wait, so that an interrupt is noticed."""


class Channel(Protocol):
    """How the workers of one strategy tell each other; every text goes under a key of its own.

    Args:
        rank: of this worker, from 0 on; the chief has 0.
        count: of all workers.
    """

    rank: int
    count: int

    def put(self, key: str, text: str) -> None:
        """Tell; a key is used once."""

    def get(self, key: str, seconds: float) -> str | None:
        """What was told under a key, by whichever worker; None where nobody did in this time."""

    def drop(self, key: str) -> None:
        """Forget a text that nobody asks for any more."""

    def abort(self, reason: str) -> None:
        """End what this process waits for inside its engine, for good, if the engine can."""


def channel(strategy: Any, model: Any = None) -> Channel | None:
    """How the workers that a model is created or restored by reach each other.

    Args:
        strategy: of `tf.distribute` or `keras.distribution`; None for what is active.
        model: that is restored into, if it exists already.

    Returns:
        None where one process does everything: also with parameter servers, whose coordinator
        alone has the model in hand.
    """
    if of(model).backend() == "jax":
        return _of_jax(strategy, model)
    found = strategy or (strategy_of(model) if model is not None else active_strategy())
    return None if found is None else _of_tensorflow(found)


def count(model: Any) -> int:
    """How many workers train a model: processes of TensorFlow or of JAX; 1 for one by itself."""
    if of(model).backend() == "jax":
        return _processes(model)
    extended = getattr(strategy_of(model), "extended", None)
    return max(int(getattr(extended, "_num_workers", 1)), 1)  # a coordinator's tells it, too


def _processes(model: Any) -> int:
    """How many processes of JAX the devices belong to that a model lies on."""
    for variable in variables_of(model)[:1]:
        devices = getattr(sharding_of(variable), "device_set", ())
        return max(len({device.process_index for device in devices}), 1)
    return 1


def is_chief(model: Any) -> bool:
    """Whether this process is the only worker, or the one that writes for all."""
    if of(model).backend() == "jax":
        found = _of_jax(None, model)
        return found is None or found.rank == 0
    return leads(strategy_of(model))


def leads(strategy: Any) -> bool:
    """Whether this process is the one that writes under a strategy of TensorFlow's."""
    resolver = getattr(strategy, "cluster_resolver", None)
    kind = getattr(resolver, "task_type", None)
    if resolver is None or not kind:
        return True
    jobs = resolver.cluster_spec().as_dict()
    if kind == "worker" and not (jobs.get("chief") or jobs.get("master")):
        return bool(resolver.task_id == 0)
    return kind in ("chief", "master")


def saves_together(model: Any) -> bool:
    """Whether every worker has to save for one to get its file, so that none may be held back.

    tf_keras reads what each replica has for itself (moving statistics) over all workers.
    """
    return of(model).NAME == "tf_keras"


def _in_slices(ask: Callable[[int], str | None], seconds: float) -> str | None:
    """The answer to what is asked again and again, for some milliseconds each time."""
    while True:
        limit = max(min(seconds, _SLICE), 0.001)
        answer = ask(int(limit * 1000))
        seconds -= limit
        if answer is not None or seconds <= 0:
            return answer


class _Coordination:
    """TensorFlow's coordination service, by way of the eager context."""

    def __init__(self, context: Any, timed_out: Sequence[type[Exception]], extended: Any) -> None:
        self._context, self._timed_out = context, tuple(timed_out)
        self.rank = int(extended._id_in_cluster)  # noqa: SLF001  # nothing public tells either
        self.count = int(extended._num_workers)  # noqa: SLF001

    def put(self, key: str, text: str) -> None:
        self._context.set_config_key_value(key, text)

    def get(self, key: str, seconds: float) -> str | None:
        def ask(milliseconds: int) -> str | None:
            with contextlib.suppress(*self._timed_out):
                return str(self._context.get_config_key_value(key, milliseconds))
            return None

        return _in_slices(ask, seconds)

    def drop(self, key: str) -> None:
        self._context.delete_config_key_value(key)

    def abort(self, reason: str) -> None:
        self._context.abort_collective_ops(_ABORTED, reason)


class _Client:
    """JAX's distributed client."""

    def __init__(self, client: Any, rank: int, count: int) -> None:
        self._client, self.rank, self.count = client, rank, count

    def put(self, key: str, text: str) -> None:
        self._client.key_value_set(key, text)

    def get(self, key: str, seconds: float) -> str | None:
        def ask(milliseconds: int) -> str | None:
            try:
                return str(self._client.blocking_key_value_get(key, milliseconds))
            except Exception as error:  # its class is private, and one for all that fails
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise
                return None

        return _in_slices(ask, seconds)

    def drop(self, key: str) -> None:
        self._client.key_value_delete(key)

    def abort(self, reason: str) -> None:
        """JAX has nothing for it."""


def _of_tensorflow(strategy: Any) -> Channel | None:
    extended = getattr(strategy, "extended", None)
    if extended is None or not several_processes(extended):
        return None
    import tensorflow as tf
    from tensorflow.python.eager import context

    timed_out = (tf.errors.DeadlineExceededError, tf.errors.NotFoundError)
    return _Coordination(context.context(), timed_out, extended)


def _of_jax(strategy: Any, model: Any) -> Channel | None:
    jax: Any = sys.modules.get("jax")
    if jax is None or jax.process_count() < 2 or not _spans_processes(strategy, model):
        return None
    from jax._src import distributed

    client = distributed.global_state.client
    return _Client(client, int(jax.process_index()), int(jax.process_count()))


def _spans_processes(strategy: Any, model: Any) -> bool:
    """Whether the model's arrays, or those of what is built, lie on devices of several processes.

    A process that loads onto its own device asks nobody.
    """
    if model is not None and variables_of(model):
        return not getattr(variables_of(model)[0].value, "is_fully_addressable", True)
    wanted = strategy or active_distribution()
    return wanted is not None and is_distribution(wanted)
