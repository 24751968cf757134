"""The operations that a function takes, as layers of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kerasguard.blueprint.computation import Plan, Unsupported
from kerasguard.blueprint.computations import filled, operation
from kerasguard.blueprint.edits import free_name
from kerasguard.blueprint.lambdas.kinds import kept_of_small, kind_made
from kerasguard.blueprint.lambdas.values import Tensor
from kerasguard.blueprint.nodes import (
    History,
    call_of,
    calls_of,
    history_of,
    layers_of,
    map_histories,
    tensor,
)
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of, replace_all
from kerasguard.blueprint.operation_shapes import constant_shape, operation_shape
from kerasguard.blueprint.shapes import Shape

__all__ = ["Drawing", "Result", "dtype_name", "install"]

_MOST_LAYERS = 200


@dataclass
class Drawing:
    """New layers of a model, which are put into it at the end.

    Args:
        model: config of a functional model.
        name: of the Lambda that they replace.
        shapes: of the tensors of the model.
        tensorflow: whether TensorFlow 1 or 2 wrote the file; 0 where it can be either.
        kinds: of the tensors of the model: floats, whole numbers, truth values.
        layers: the new layers.
        taken: what the finding says besides: what was taken for granted.
    """

    model: Json
    name: str
    shapes: dict[History, Shape]
    tensorflow: int = 0
    kinds: dict[History, str] = field(default_factory=dict)
    layers: list[Json] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def take(self, what: str) -> None:
        """Note something that is taken for granted."""
        if what not in self.taken:
            self.taken.append(what)

    def data_format(self) -> str:
        """Where Keras was set to have the channels of images; last unless a layer says so."""
        for layer in layers_of(self.model):
            if config_of(layer).get("data_format") not in (None, "channels_last"):
                raise Unsupported("the data format that Keras was set to")
        self.take("K.image_data_format() is assumed to be 'channels_last'")
        return "channels_last"

    def dtype_of(self, tensor: Tensor) -> str:
        """The dtype of a tensor, where all floats of the model have the same.

        Raises:
            Unsupported: it cannot be told.
        """
        named = [config_of(x).get("dtype") for x in (*layers_of(self.model), *self.layers)]
        floats = {x for x in map(dtype_name, named) if "float" in x} | {"float32"}
        if tensor.kind == "bool":
            return "bool"
        if tensor.kind != "float" or len(floats) > 1:
            raise Unsupported("a dtype that is not in the file")
        return "float32"

    def shape_of(self, value: Any) -> Shape | None:
        """The shape of a tensor or of a constant in a call."""
        history = history_of(value)
        if history is not None:
            known = self.shapes.get(history)
            return None if known is None else list(known)
        return constant_shape(value)

    def rank_of(self, value: Any) -> int | None:
        """The number of axes of a tensor or a constant."""
        shape = self.shape_of(value)
        return None if shape is None else len(shape)

    def draw(self, plan: Plan, kind: str) -> Tensor:
        """Add what a plan takes; gives the last operation's tensor."""
        previous: Json | None = None
        for number, (step, options) in enumerate(plan.steps):
            if kind == "small" and not kept_of_small(step):
                raise Unsupported(f"{step.partition('.')[2]} of integers of 8 or 16 bits")
            first = plan.tensors if number == 0 else plan.arguments.get(number)
            arguments = [previous] if first is None else filled(list(first), previous)
            previous = self._layer(step, options, arguments)
            kind = kind_made(step, options, kind)
        if previous is None:
            raise Unsupported("it takes no operation")
        shape = self.shape_of(previous)
        return Tensor(previous, None if shape is None else tuple(shape), kind)

    def shaped(self, made: Tensor, shape: Shape) -> Tensor:
        """The tensor with a shape that its operation does not tell."""
        history = history_of(made.made)
        assert history is not None, "an operation's result names the operation"
        self.shapes[history] = list(shape)
        return Tensor(made.made, tuple(shape), made.kind)

    def outputs(self, made: Tensor, count: int, shapes: Sequence[Shape | None]) -> list[Tensor]:
        """The tensors of an operation that makes several."""
        history = history_of(made.made)
        assert history is not None, "an operation's result names the operation"
        found = []
        for number in range(count):
            place = (history[0], 0, number)
            shape = shapes[number]
            if shape is None:
                self.shapes.pop(place, None)
            else:
                self.shapes[place] = shape
            known = None if shape is None else tuple(shape)
            found.append(Tensor(tensor(*place), known, made.kind))
        return found

    def _layer(self, step: str, options: Json, arguments: list[Any]) -> Json:
        if len(self.layers) >= _MOST_LAYERS:
            raise Unsupported(f"it takes more than {_MOST_LAYERS} operations")
        others = {**self.model, "layers": [*layers_of(self.model), *self.layers]}
        name = free_name(others, f"{self.name}_{step.partition('.')[2].lower()}")
        new = operation((step, options), name)
        new["name"] = name
        new["inbound_nodes"] = [call_of(*arguments)]
        self.layers.append(new)
        kind = class_of(new)
        if kind.startswith("ops."):
            shape = operation_shape(kind[4:], options, arguments, self.shape_of)
            if shape is not None:
                self.shapes[name, 0, 0] = shape
        return tensor(name)


def dtype_name(dtype: Any) -> str:
    """The name of a dtype or a policy, as a config has it."""
    config = dtype.get("config") if isinstance(dtype, dict) else None
    return str(config.get("name")) if isinstance(config, dict) else str(dtype)


Result = Tensor | list[Tensor]


def install(drawing: Drawing, layer: Json, results: list[Result]) -> None:
    """Put the drawn layers into the model in the place of a layer.

    Args:
        drawing: with all that was drawn.
        layer: the Lambda.
        results: what each of its calls makes.
    """
    model, name = drawing.model, name_of(layer)
    found: dict[History, History] = {}
    for number, result in enumerate(results):
        for output, one in enumerate(result if isinstance(result, list) else [result]):
            history = history_of(one.made)
            assert history is not None, "a result is a tensor"
            found[name, number, output] = history
    main = found.get((name, 0, 0))
    drawn = {name_of(x) for x in drawing.layers}
    new_names: dict[str, str] = {}
    if main is not None and main[0] in drawn:
        new_names = {main[0]: name}

    def rewire(history: History) -> History:
        known = found.get(history, history)
        return (new_names.get(known[0], known[0]), *known[1:])

    place = layers_of(model).index(layer)
    model["layers"][place : place + 1] = drawing.layers
    for other in drawing.layers:
        other["name"] = new_names.get(name_of(other), name_of(other))
        config_of(other)["name"] = other["name"]
    for other in layers_of(model):
        if calls_of(other):
            other["inbound_nodes"] = [map_histories(call, rewire) for call in calls_of(other)]
    model["output_layers"] = replace_all(model["output_layers"], _ends(rewire))


def _ends(rewire: Callable[[History], History]) -> Callable[[Any], Any]:
    def change(part: Any) -> Any:
        if isinstance(part, list) and len(part) == 3 and isinstance(part[0], str):
            return list(rewire((part[0], part[1], part[2])))
        return part

    return change
