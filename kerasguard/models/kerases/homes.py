"""Where a model lives: the strategy of TensorFlow, or the mesh of devices, that it was built on."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

from kerasguard.models.kerases import of, variables_of
from kerasguard.models.kerases.backends import components, on_tensorflow, sharding_of

__all__ = [
    "active_distribution",
    "is_distribution",
    "is_served",
    "laid_out_otherwise",
    "mesh_of",
    "name_of",
    "replicas_apart",
    "same_strategy",
    "specs_of",
    "strategy_of",
]

# Of Keras 3 and of tf_keras; their public property tells the active strategy where there is none.
_NOTED = ("_distribute_strategy", "_distribution_strategy")


def is_distribution(value: Any) -> bool:
    """Whether it is one of `keras.distribution`, not of TensorFlow."""
    module = sys.modules.get("keras.src.distribution.distribution_lib")
    return module is not None and isinstance(value, module.Distribution)


def active_distribution() -> Any:
    """What `keras.distribution.set_distribution` was given; None where nothing."""
    module = sys.modules.get("keras.src.distribution.distribution_lib")
    return None if module is None else module.distribution()


def strategy_of(model: Any) -> Any:
    """The `tf.distribute` strategy that a model was created under; None where there was none.

    The variables decide. A strategy that leaves them as they are is known by what the model notes.
    """
    if of(model).backend() != "tensorflow":
        return None
    variables = variables_of(model)
    made = (getattr(part, "distribute_strategy", None) for part in variables[:1])
    held = (getattr(getattr(v, "value", v), "distribute_strategy", None) for v in variables[:1])
    noted = next((s for name in _NOTED if (s := getattr(model, name, None)) is not None), None)
    found = next((s for s in (*made, *held) if s is not None), None)
    if found is None and noted is not None and variables:
        single = getattr(noted, "num_replicas_in_sync", 1) == 1
        return noted if single or is_served(noted) else None  # created in it, and built outside
    return found if found is not None else noted


def name_of(strategy: Any) -> str:
    """What a strategy or distribution is called in public: `MultiWorkerMirroredStrategy`.

    TensorFlow's class for that one has another name, which no user has ever seen.
    """
    exported = vars(type(strategy)).get("_tf_api_names") or (type(strategy).__name__,)
    return str(exported[-1]).rpartition(".")[2]


def is_served(strategy: Any) -> bool:
    """Whether its variables lie on other machines, plain ones as they are."""
    return "ParameterServer" in type(strategy).__name__


def same_strategy(ours: Any, wanted: Any) -> bool:
    """Whether both are one strategy, or two of a kind on the same devices."""
    if ours is wanted or ours is None or wanted is None:
        return ours is wanted
    return type(ours) is type(wanted) and _devices(ours) == _devices(wanted)


def _devices(strategy: Any) -> tuple[str, ...]:
    return tuple(map(str, strategy.extended.worker_devices))


def mesh_of(model: Any) -> tuple[tuple[str, int], ...]:
    """Axes of the mesh that a model of JAX lives on, by name and size; empty on one device."""
    for variable in variables_of(model)[:1]:
        mesh = getattr(sharding_of(variable), "mesh", None)
        if mesh is not None:
            return tuple((str(axis), int(size)) for axis, size in mesh.shape.items())
    return ()


def laid_out_otherwise(model: Any, distribution: Any) -> str:
    """The path of a variable that does not lie as a distribution would put it; empty if all do."""
    for variable in variables_of(model):
        # Keras answers with the layout that a variable has, if it has one: ask for its like.
        like = SimpleNamespace(path=variable.path, shape=variable.shape)
        wanted = distribution.get_variable_layout(like)
        wanted = getattr(wanted, "backend_layout", wanted)
        lies = sharding_of(variable)
        if wanted is not None and lies is not None:
            rank = len(variable.shape)
            if not lies.is_equivalent_to(wanted, rank):
                return of(model).path(variable)
    return ""


def specs_of(model: Any) -> dict[str, list[Any]]:
    """By path, the mesh's axis along each of a variable's; of those that are sharded at all."""
    found: dict[str, list[Any]] = {}
    for variable in variables_of(model) if mesh_of(model) else ():
        spec = getattr(sharding_of(variable), "spec", ())
        if any(spec):
            found[of(model).path(variable)] = [_axis(axis) for axis in spec]
    return found


def _axis(axis: Any) -> Any:
    return list(axis) if isinstance(axis, tuple) else axis


def replicas_apart(variable: Any) -> float:
    """The largest difference between elements of a variable's replicas; NaN where one is NaN."""
    if not on_tensorflow():
        return 0.0
    first, *others = (np.asarray(part.numpy(), np.float64) for part in components(variable))
    return max((float(np.max(np.abs(first - o), initial=0.0)) for o in others), default=0.0)
