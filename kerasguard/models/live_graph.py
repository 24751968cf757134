"""The layers of a live Keras 3 model: their graph and the digests of their configs.

The same that `layer_records` of `blueprint/architecture.py` reads from a stored architecture, so
that the two can be compared; `tests/models/test_live_graph.py` holds them together.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from kerasguard.blueprint.architecture import config_digest, graph_digest
from kerasguard.models.bare_config import bare_config, many_configs
from kerasguard.models.call_arguments import call_text, text_of
from kerasguard.models.fast_build import less_work
from kerasguard.models.kerases import (
    Keras,
    is_foreign,
    is_layer,
    is_model,
    is_optimizer,
    of,
    own_attributes,
)
from kerasguard.models.kerases.graphs import Tensor, graph_outputs
from kerasguard.models.live_calls import (
    calls_of,
    has_graph,
    is_graph,
    operation_keys,
    operations_of,
)
from kerasguard.models.live_use import Calls, Uses
from kerasguard.models.walk import Visit, walk
from kerasguard.tensors import LayerRecord, Node, Use

__all__ = ["axis_spellings", "layer_digest", "records_of"]

_PLAIN = (str, int, float, type(None))


def records_of(
    visits: Sequence[Visit], axes: Mapping[tuple[str, int], int] | None = None
) -> dict[str, LayerRecord]:
    """A record of every layer among `visits`, of the operations in their graphs, of the optimizer.

    Args:
        visits: all of a walk, the model itself first.
        axes: how another model counts axes, of `axis_spellings`.
    """
    with less_work(), many_configs():
        survey = _Survey(visits, axes or {})
        records = {v.path: survey.record(v) for v in visits if v.path and is_layer(v.object)}
    optimizers = {
        v.path: LayerRecord(v.path, str(getattr(v.object, "name", "")), type(v.object).__name__)
        for v in visits
        if is_optimizer(v.object)
    }
    return {**records, **survey.operations, **optimizers}


def layer_digest(
    layer: Any, axes: Mapping[tuple[str, int], int], without: Collection[str] = ()
) -> str:
    """Digest of what a layer computes, by its config; it need not be built.

    Args:
        layer: of any class.
        axes: how another model counts axes, of `axis_spellings`.
        without: entries of the config that are left out.
    """
    return _Survey(list(walk(layer)), axes, without).digest(layer)


def axis_spellings(layers: Iterable[Any], *, channels_first: bool) -> dict[tuple[str, int], int]:
    """By class and axis counted from the front, the axis counted from the back.

    Keras 2 stored `axis=3` where the code had `axis=-1`: on what a layer is built for they are
    the same. Only axes that these layers count from the back are told.

    Args:
        layers: of the model.
        channels_first: whether the writer's channels were axis 1; they are the last axis here.
    """
    found: dict[tuple[str, int], int] = {}
    for layer in layers:
        axis = getattr(layer, "axis", None)
        if type(axis) is int and axis < 0 and is_layer(layer) and layer.built:
            shape = (layer.get_build_config() or {}).get("input_shape")
            if isinstance(shape, (list, tuple)):
                found[type(layer).__name__, len(shape) + axis] = axis
                if channels_first and axis == -1 and len(shape) > 2:
                    found[type(layer).__name__, 1] = axis
    return found


class _Survey:
    """What is learned once of a model and asked for by each of its layers."""

    def __init__(
        self,
        visits: Sequence[Visit],
        axes: Mapping[tuple[str, int], int],
        without: Collection[str] = (),
    ) -> None:
        self.axes, self.without = axes, without
        self.keys = {id(visit.object): visit.path for visit in visits}
        self.digests: dict[int, str] = {}
        self.inbound: dict[int, tuple[tuple[Node, ...], int]] = {}
        self.traced: dict[int, tuple[Node, ...]] = {}
        self.arguments: dict[int, tuple[str, ...]] = {}
        self.operations: dict[str, LayerRecord] = {}
        self.uses = Uses(visits)
        self.attributes = _attributes(visits)
        self.opaque = tuple(
            f"{visit.path}/" for visit in visits if visit.path and _is_opaque(visit.object)
        )
        for visit in visits:
            if has_graph(visit.object):
                self.place(visit.object, visit.path)

    def record(self, visit: Visit) -> LayerRecord:
        """The record of a layer; a part of one of Keras' own layers gets no digest."""
        layer = visit.object
        inbound, position = self.inbound.get(id(layer), (None, -1))
        hidden = bool(self.opaque) and visit.path.startswith(self.opaque)
        digest = "" if hidden else self.digest(layer)
        held = self.attributes.get(id(layer), "")
        kind = type(layer).__name__
        use = self.use(layer, hidden=hidden)
        frozen = False if getattr(layer, "trainable", None) is False else None
        return LayerRecord(
            visit.path, layer.name, kind, digest, inbound, position, held, use, frozen
        )

    def use(self, operation: Any, *, hidden: bool = False) -> Use:
        """What the model's code does with a layer or an operation."""
        calls = self.arguments.get(id(operation)), self.traced.get(id(operation))
        if not is_layer(operation):
            return _cast(operation, calls)
        return self.uses.of(operation, calls, hidden=hidden)

    def place(self, model: Any, path: str) -> None:
        """Learn one model's graph and record its operations that are not layers."""
        operations = operations_of(model)
        self.keys |= operation_keys(operations, path)
        spelled_out = is_graph(model)
        for position, (operation, calls) in enumerate(
            zip(operations, calls_of(model, operations), strict=True)
        ):
            inbound = tuple(
                tuple((self.keys.get(id(o), o.name), i, j) for o, i, j in call.tensors)
                for call in calls
            )
            if spelled_out:
                self.inbound.setdefault(id(operation), (inbound, position))
            else:
                self.traced.setdefault(id(operation), inbound)
            texts = tuple(call_text(call.args, call.kwargs) for call in calls)
            self.arguments.setdefault(id(operation), texts if any(texts) else ())
            if not is_layer(operation):
                self.record_operation(operation, inbound if spelled_out else None, position)

    def record_operation(
        self, operation: Any, inbound: tuple[Node, ...] | None, position: int
    ) -> None:
        """Record an operation that is not a layer."""
        key, kind = self.keys[id(operation)], type(operation).__name__
        self.operations[key] = LayerRecord(
            key,
            operation.name,
            kind,
            self.digest(operation),
            inbound,
            position if inbound is not None else -1,
            use=self.use(operation),
        )

    def digest(self, operation: Any) -> str:
        """Digest of what the operation computes; empty where it has no usable config."""
        known = self.digests.get(id(operation))
        if known is None:
            own = self.graph_digest if is_graph(operation) else self.config_digest
            known = self.digests[id(operation)] = own(operation)
        return known

    def config_digest(self, operation: Any) -> str:
        """Digest of a config, its axis counted as in the other model."""
        kind = type(operation).__name__
        try:
            config = {k: v for k, v in bare_config(operation).items() if k not in self.without}
            axis = config.get("axis")
            if isinstance(axis, int) and (kind, axis) in self.axes:
                config = {**config, "axis": self.axes[kind, axis]}
            return config_digest(kind, _serialised(config, of(operation)))
        except Exception:  # noqa: BLE001  # get_config of somebody's own may raise anything
            return ""

    def graph_digest(self, model: Any) -> str:
        """Digest of a model that is a graph, out of its layers' digests."""
        operations = operations_of(model)
        rank = {id(operation): index for index, operation in enumerate(operations)}

        def ranked(tensors: Sequence[Tensor]) -> Any:
            return [[rank.get(id(o), -1), i, j] for o, i, j in tensors]

        nodes = [
            (self.digest(operation), [ranked(call.tensors) for call in calls])
            for operation, calls in zip(operations, calls_of(model, operations), strict=True)
        ]
        ends = [] if of(model).object_type(model) == "Sequential" else graph_outputs(model)
        return graph_digest(type(model).__name__, nodes, ranked(ends))


def _attributes(visits: Sequence[Visit]) -> dict[int, str]:
    """Where classes of the user's own hold their layers; those of lists have no name of a place."""
    found: dict[int, str] = {}
    for visit in visits:
        if not is_layer(visit.object) or not is_foreign(visit.object):
            continue
        keras = of(visit.object)
        skipped = keras.attribute_skipset(keras.object_type(visit.object))
        for name, value in own_attributes(visit.object).items():
            if name in skipped:
                continue  # Keras' own, or TensorFlow's
            items = {f"[{k}]": v for k, v in value.items()} if isinstance(value, dict) else {}
            for key, item in (items or {"": value}).items():
                if is_layer(item):
                    found.setdefault(id(item), f"{visit.path}.{name}{key}".lstrip("."))
    return found


def _cast(operation: Any, calls: Calls) -> Use:
    """The dtype that an operation makes, which no digest of a config looks at."""
    dtype = vars(operation).get("dtype")
    return Use(*calls, settings={} if dtype is None else {"dtype": text_of(dtype)})


def _is_opaque(item: Any) -> bool:
    """One of Keras' own layers: its config tells all about the layers inside it."""
    return not is_foreign(item) and is_layer(item) and not is_model(item)


def _serialised(value: Any, keras: Keras) -> Any:
    """`value` as Keras would write it to JSON."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        return {key: _serialised(item, keras) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_serialised(item, keras) for item in value]
    if inspect.isfunction(value) and value.__name__ == "<lambda>":
        raise TypeError("a lambda has no digest")
    return keras.serialize(value)
