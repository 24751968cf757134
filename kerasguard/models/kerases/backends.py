"""What lies under a Keras variable or tensor: TensorFlow's, JAX's or torch's own.

No backend is imported for the sake of asking, only where Keras computes with it anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasguard.models.kerases import KERAS3, Keras, of, present
from kerasguard.tensors.elements import Array

__all__ = [
    "active_strategy",
    "arrived",
    "boxes",
    "components",
    "device",
    "inner",
    "is_read_together",
    "is_spread",
    "is_tensorflow_variable",
    "is_traced",
    "on_tensorflow",
    "parts",
    "pieces",
    "resource_of",
    "several_processes",
    "several_workers",
    "sharding_of",
    "spread_as",
    "spread_boxes",
    "synchronization",
    "to_numpy",
]


def on_tensorflow() -> bool:
    """Whether some Keras of this process computes with TensorFlow."""
    return KERAS3.backend() == "tensorflow" or any(
        keras.backend() == "tensorflow" for keras in present()
    )


def is_tensorflow_variable(value: Any) -> bool:
    """Whether it is a variable of TensorFlow's own: tf_keras', or one without Keras around it."""
    if not on_tensorflow():
        return False
    import tensorflow as tf

    return isinstance(value, tf.Variable)


def inner(variable: Any) -> Any:
    """The backend's variable behind a Keras variable; any other value as it is."""
    if isinstance(variable, KERAS3.VARIABLE):
        return variable.value
    if type(variable).__name__.startswith("AutoCast"):  # tf_keras', of a mixed precision policy
        return variable._variable  # noqa: SLF001
    return variable


def components(variable: Any) -> Sequence[Any]:
    """The backend's variables behind a variable: one, or one per replica of TensorFlow's."""
    if not on_tensorflow():
        return (variable,)
    import tensorflow as tf

    value = inner(variable)
    if isinstance(value, tf.distribute.DistributedValues):
        return tuple(value.values)
    return (value,)


def pieces(variable: Any) -> Sequence[Any]:
    """The backend's variables that together hold a variable: its replicas, or its parts."""
    return [part for one in components(variable) for part in parts(one)]


def parts(variable: Any) -> list[Any]:
    """What a variable is cut into by a partitioner of parameter servers; itself where it is not."""
    return list(variable.variables) if _is_cut(variable) else [variable]


def _is_cut(value: Any) -> bool:
    # Asked of the class: a variable of several replicas reads itself to find an attribute.
    return hasattr(type(value), "is_sharded_variable")


def synchronization(variable: Any) -> str:
    """How replicas are kept in step: `auto`, `on_write`, `on_read`: each has a part of its own."""
    told = getattr(variable, "synchronization", "auto")
    return str(getattr(told, "name", told)).lower()


def is_read_together(variable: Any) -> bool:
    """Whether reading it is a collective: every replica has its part, and several workers do."""
    if synchronization(variable) != "on_read":
        return False
    strategy = getattr(inner(variable), "distribute_strategy", None)
    return several_processes(getattr(strategy, "extended", None))


def is_spread(variable: Any) -> bool:
    """Whether devices hold parts of a variable of JAX, or some of it lies in other processes.

    To read it as a whole would gather it, and JAX keeps what it has gathered.
    """
    if KERAS3.backend() != "jax":
        return False
    lies = sharding_of(variable)
    local = getattr(lies, "is_fully_addressable", True)
    return not (local and getattr(lies, "is_fully_replicated", True))


def sharding_of(variable: Any) -> Any:
    """Where a variable of JAX lies, or will as soon as it has a value; None of any other.

    One that waits for its value would be initialised to be asked.
    """
    if not isinstance(variable, KERAS3.VARIABLE):
        return None
    if getattr(variable, "_value", variable) is None:
        layout = variable._layout  # noqa: SLF001
        return getattr(layout, "backend_layout", layout)
    return getattr(inner(variable), "sharding", None)


def spread_as(variable: Any, array: Array) -> Any:
    """An array of JAX laid out as a variable is; this process makes what its own devices hold."""
    import jax

    sharding = sharding_of(variable)
    return jax.make_array_from_callback(array.shape, sharding, lambda box: array[box])


def boxes(variable: Any) -> list[tuple[tuple[slice, ...], Array]]:
    """What this process' own devices hold of a variable, and which elements these are."""
    if is_spread(variable):
        shards = inner(variable).addressable_shards
        return [(tuple(shard.index), np.asarray(shard.data)) for shard in shards]
    return [((), to_numpy(part)) for part in components(variable)]


def spread_boxes(variable: Any) -> list[tuple[tuple[slice, ...], Array]]:
    """What this process' devices hold of a variable of JAX that no device holds completely.

    Nothing is gathered; of equal copies the first one is given, in one process of all.
    """
    if KERAS3.backend() != "jax" or not isinstance(variable, KERAS3.VARIABLE):
        return []
    value = variable.value
    if getattr(value, "is_fully_replicated", True):
        return []
    own = [shard for shard in value.addressable_shards if shard.replica_id == 0]
    return [(tuple(shard.index), np.asarray(shard.data)) for shard in own]


def several_processes(extended: Any) -> bool:
    """Whether a strategy of TensorFlow's runs in several processes that do the same.

    A coordinator of parameter servers has workers too, and does what is to be done alone.
    """
    return hasattr(extended, "_id_in_cluster") and int(getattr(extended, "_num_workers", 1)) > 1


def resource_of(variable: Any) -> Any:
    """The variable of TensorFlow on one device behind a variable; None where it is another thing.

    Replicas, parts and what a worker of parameter servers holds are other things.
    """
    if not on_tensorflow():
        return None
    value = inner(variable)
    found = type(value).__name__ == "ResourceVariable" and is_tensorflow_variable(value)
    return value if found else None


def to_numpy(value: Any) -> Array:
    """The elements of a variable (over its replicas, as it is read), a tensor or an array."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, KERAS3.VARIABLE) and hasattr(value, "numpy") and on_tensorflow():
        import tensorflow as tf

        if isinstance(value, tf.Variable) or tf.is_tensor(value) or _is_cut(value):
            return np.asarray(value.numpy())
    from kerasguard.models.kerases import keras3

    array: Array = keras3.to_numpy(value)
    return array


def arrived(value: Any) -> Any:
    """What a worker of parameter servers is still computing, waited for; all else as it is."""
    fetch = getattr(value, "fetch", None)
    return value if fetch is None else fetch()


def active_strategy() -> Any:
    """The `tf.distribute.Strategy` whose scope is open; None where there is none."""
    if not on_tensorflow():
        return None
    import tensorflow as tf

    return tf.distribute.get_strategy() if tf.distribute.has_strategy() else None


def several_workers(model: Any) -> bool:
    """Whether other processes must take part in whatever the model computes."""
    backend = of(model).backend()
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


def device(keras: Keras) -> str:
    """The kind of device that tensors lie on: `cpu`, `gpu`; with the backend, if not TensorFlow."""
    backend = keras.backend()
    if backend == "torch":  # which has no Keras distribution
        return f"torch {keras.to_tensor(0.0).device.type}"
    if backend != "tensorflow":
        from kerasguard.models.kerases import keras3

        return f"{backend} {keras3.devices()[0]}"
    import tensorflow as tf

    return "gpu" if tf.config.list_logical_devices("GPU") else "cpu"


def is_traced(tensor: Any) -> bool:
    """Whether a tensor stands for values that are computed later."""
    if KERAS3.backend() == "jax":
        import jax

        if isinstance(tensor, jax.core.Tracer):
            return True
    if not on_tensorflow():
        return False
    import tensorflow as tf

    return bool(tf.is_symbolic_tensor(tensor))
