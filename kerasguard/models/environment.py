"""What a manifest tells of a live model besides its tensors: class, surroundings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from kerasguard.errors import ModelError
from kerasguard.models import compiled_settings, proof
from kerasguard.models.kerases import KERAS3, homes, of, variables_of, workers
from kerasguard.models.kerases.backends import components
from kerasguard.models.unwritten import metric_state

__all__ = [
    "Supplied",
    "build_metrics",
    "describe",
    "environment",
    "layers_with_hard_sigmoid",
    "layers_with_several_masks",
    "registered_count",
    "require_keras_3",
    "supplied",
    "versions",
]

_MERGING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")


def require_keras_3() -> None:
    """Refuse to restore into an older Keras.

    Raises:
        ModelError: the Keras of this process is not 3 or later.
    """
    if int(KERAS3.version().partition(".")[0]) < 3:
        raise ModelError(
            f"Keras {KERAS3.version()} is imported, kerasguard needs Keras 3 or later; in a "
            "process of Keras 2, build the model by its code and give it the arrays"
        )


def describe(model: Any) -> dict[str, Any]:
    """Class and name of the model, and the settings that its compile arguments would lose."""
    compiled = compiled_settings.lost(model)
    told = {"class": type(model).__name__, "name": model.name}
    return {**told, "compiled": compiled} if compiled else told


def environment(model: Any) -> dict[str, Any]:
    """Dtype policy, what the model lives on, and what replicas disagree on; no host, user, path."""
    strategy = homes.strategy_of(model)
    if strategy is None and homes.mesh_of(model):
        strategy = homes.active_distribution()
    variables = variables_of(model)[:1]
    replicas = len(components(variables[0])) if variables else 1
    apart = proof.replica_differences(model) if replicas > 1 else {}
    mesh = homes.mesh_of(model) if of(model).backend() == "jax" else ()
    count = workers.count(model)
    return {
        **({"workers": count} if count > 1 else {}),
        **({"unequal_replicas": list(apart), "replicas_apart": apart} if apart else {}),
        **({"mesh": [list(axis) for axis in mesh], "specs": homes.specs_of(model)} if mesh else {}),
        "dtype_policy": getattr(model.dtype_policy, "name", str(model.dtype_policy)),
        "strategy": homes.name_of(strategy) if strategy is not None else None,
        "replicas": replicas,
    }


def versions(model: Any = None) -> dict[str, str]:
    """Of what computes a model; without one, of what would build it."""
    return {"keras": of(model).version(), "backend": of(model).backend()}


def layers_with_several_masks(model: Any) -> tuple[str, ...]:
    """Names of the layers that merge tensors with different masks, or with one and with none."""
    merging = tuple(of(model).layer_class(name) for name in _MERGING)
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
    function = of(model).functions("activations").hard_sigmoid
    layers = model._flatten_layers(include_self=False, recursive=True)  # noqa: SLF001
    found = (
        layer.name
        for layer in layers
        if function
        in (getattr(layer, "activation", None), getattr(layer, "recurrent_activation", None))
    )
    return tuple(dict.fromkeys(found))


class Supplied(NamedTuple):
    """What a config may refer to besides Keras' own; arguments of `migrations.migrate`.

    Args:
        known: names of what the caller passes or has put in a scope, and of what is registered.
        registered: what was registered with `keras.saving.register_keras_serializable` and is not
            passed, by name with its package: whether a file may refer to it. It may if models are
            made of it: of other callables it would be up to the file to have them called.
    """

    known: frozenset[str]
    registered: dict[str, bool]


_registered_count: ContextVar[bool] = ContextVar("registered_count", default=True)


@contextlib.contextmanager
def registered_count(*, count: bool) -> Iterator[None]:
    """Whether what is registered may be referred to in the block without being passed."""
    before = _registered_count.set(count)
    try:
        yield
    finally:
        _registered_count.reset(before)


def supplied(custom_objects: Mapping[str, Any]) -> Supplied:
    """What a config may refer to, with what the caller passes.

    A class of the same name in another package is another class: Keras would not find it, and it
    may compute something else.
    """
    passed = {*scoped_objects(), *custom_objects}
    count = _registered_count.get()
    found = {
        name: count and _is_part(item)
        for name, item in KERAS3.custom_objects().items()
        if name not in passed
    }
    return Supplied(frozenset(passed | {name for name, fine in found.items() if fine}), found)


def _is_part(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, KERAS3.part_classes())


def scoped_objects(model: Any = None) -> dict[str, Any]:
    """Classes and functions of the custom object scope that is open, by name."""
    return of(model).scoped_objects()


def build_metrics(model: Any, wanted: set[str]) -> None:
    """Give a compiled model's metrics their variables, so that kept state has a place to go.

    Keras does so at the first batch, whose targets tell what `"accuracy"` means. Here the outputs
    tell, and the kept state has to agree: else the metrics stay as they were, not built.

    Args:
        model: a compiled one, or any other.
        wanted: keys of the metric state that was kept.
    """
    if of(model) is not KERAS3:
        return  # it stores what its metrics hold, and takes it back once they exist
    container = next((m for m in getattr(model, "metrics", ()) if hasattr(m, "metrics")), None)
    outputs = getattr(model, "outputs", None)
    if not wanted or container is None or container.built or not outputs:
        return
    for like in (lambda shape: shape, lambda shape: (*shape[:-1], 1), lambda shape: shape[:-1]):
        targets = [KERAS3.SYMBOLIC(like(tuple(t.shape)), dtype=t.dtype) for t in outputs]
        single = outputs[0] if len(outputs) == 1 else list(outputs)
        structure = getattr(model, "output", single)  # a Sequential has none of its own
        try:
            container.build(KERAS3.pack(structure, targets), structure)
        except ValueError:  # a metric of a name that Keras does not know, as it will say in `fit`
            return
        keys = {h.record.key for h in metric_state(model)}
        if wanted <= keys:
            return
        container.built = False
