"""What a manifest tells of a live model besides its tensors: class, surroundings."""

from __future__ import annotations

from typing import Any

import keras

from kerasguard.errors import ModelError
from kerasguard.models import proof
from kerasguard.models import variables as keras_variables
from kerasguard.models.unwritten import metric_state

__all__ = [
    "build_metrics",
    "describe",
    "environment",
    "layers_with_hard_sigmoid",
    "layers_with_several_masks",
    "registered_names",
    "require_keras_3",
    "versions",
]

_PARTS = (
    keras.Operation,  # layers and models are
    keras.constraints.Constraint,
    keras.initializers.Initializer,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.regularizers.Regularizer,
    keras.DTypePolicy,
)
_MERGING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")


def require_keras_3() -> None:
    """Refuse to restore into an older Keras.

    Raises:
        ModelError: the Keras of this process is not 3 or later.
    """
    if int(keras.__version__.partition(".")[0]) < 3:
        raise ModelError(
            f"Keras {keras.__version__} is imported, kerasguard needs Keras 3 or later; in a "
            "process of Keras 2, build the model by its code and give it the arrays"
        )


def describe(model: Any) -> dict[str, Any]:
    """Class and name of the model."""
    return {"class": type(model).__name__, "name": model.name}


def environment(model: Any) -> dict[str, Any]:
    """Dtype policy, strategy, number of replicas and what they disagree on; no host, user, path."""
    strategy = keras_variables.active_strategy()
    variables = model.variables[:1]
    replicas = 1
    if keras.backend.backend() == "tensorflow" and variables:
        replicas = len(keras_variables.components(variables[0]))
    unequal = proof.replica_differences(model) if replicas > 1 else ()
    return {
        **({"unequal_replicas": list(unequal)} if unequal else {}),
        "dtype_policy": getattr(model.dtype_policy, "name", str(model.dtype_policy)),
        "strategy": type(strategy).__name__ if strategy is not None else None,
        "replicas": replicas,
    }


def versions() -> dict[str, str]:
    """Of what computes in this process."""
    return {"keras": keras.__version__, "backend": keras.backend.backend()}


def layers_with_several_masks(model: Any) -> tuple[str, ...]:
    """Names of the layers that merge tensors with different masks, or with one and with none."""
    merging = tuple(getattr(keras.layers, name) for name in _MERGING)
    found = []
    for layer in model._flatten_layers(include_self=False, recursive=True):  # noqa: SLF001
        for node in getattr(layer, "_inbound_nodes", ()) if isinstance(layer, merging) else ():
            masks = [getattr(tensor, "_keras_mask", None) for tensor in node.input_tensors]
            if len({_made_of(mask) for mask in masks}) > 1:
                found.append(layer.name)
    return tuple(dict.fromkeys(found))


def _made_of(mask: Any) -> tuple[object, ...]:
    """What two masks have in common that are the same function of the same tensor."""
    history = getattr(mask, "_keras_history", None)
    if history is None:
        return (None if mask is None else id(mask),)
    made = history.operation
    inputs = made._inbound_nodes[history.node_index].input_tensors  # noqa: SLF001
    return (type(made).__name__, *(id(tensor) for tensor in inputs))


def layers_with_hard_sigmoid(model: Any) -> tuple[str, ...]:
    """Names of the layers that compute Keras 3's `hard_sigmoid`."""
    function = keras.activations.hard_sigmoid
    layers = model._flatten_layers(include_self=False, recursive=True)  # noqa: SLF001
    found = (
        layer.name
        for layer in layers
        if function
        in (getattr(layer, "activation", None), getattr(layer, "recurrent_activation", None))
    )
    return tuple(dict.fromkeys(found))


def registered_names() -> set[str]:
    """Names of what a file may refer to because this process knows it, with their packages.

    That is what was registered with `keras.saving.register_keras_serializable`, as far as models
    are made of it, and what a `keras.saving.custom_object_scope` around the load holds. Of other
    callables it would be up to the file to have them called.

    A class of the same name in another package is another class: Keras would not find it, and it
    may compute something else.
    """
    registered = keras.saving.get_custom_objects().items()
    return {*scoped_objects(), *(name for name, found in registered if _is_part(found))}


def _is_part(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, _PARTS)


def scoped_objects() -> dict[str, Any]:
    """Classes and functions of the `keras.saving.custom_object_scope` that is open, by name."""
    from keras.src.backend.common import global_state

    return dict(global_state.get_global_attribute("custom_objects_scope_dict", {}) or {})


def build_metrics(model: Any, wanted: set[str]) -> None:
    """Give a compiled model's metrics their variables, so that kept state has a place to go.

    Keras does so at the first batch, whose targets tell what `"accuracy"` means. Here the outputs
    tell, and the kept state has to agree: else the metrics stay as they were, not built.

    Args:
        model: a compiled one, or any other.
        wanted: keys of the metric state that was kept.
    """
    container = next((m for m in getattr(model, "metrics", ()) if hasattr(m, "metrics")), None)
    outputs = getattr(model, "outputs", None)
    if not wanted or container is None or container.built or not outputs:
        return
    for like in (lambda shape: shape, lambda shape: (*shape[:-1], 1), lambda shape: shape[:-1]):
        targets = [keras.KerasTensor(like(tuple(t.shape)), dtype=t.dtype) for t in outputs]
        single = outputs[0] if len(outputs) == 1 else list(outputs)
        structure = getattr(model, "output", single)  # a Sequential has none of its own
        container.build(keras.tree.pack_sequence_as(structure, targets), structure)
        keys = {h.record.key for h in metric_state(model)}
        if wanted <= keys:
            return
        container.built = False
