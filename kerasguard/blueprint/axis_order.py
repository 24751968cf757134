"""Where the channels of a tensor stand, while a graph is turned to channels last.

A tensor whose channels were moved to the end has a `Layout`: its rank and the axis where the
writer had them. Tensors without one are as the writer had them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.nodes import History, call_of, history_of, layers_of, tensor
from kerasguard.blueprint.objects import Json, keras_object, name_of, replace_all

__all__ = ["Layout", "Moved"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Rank of a tensor, and the axis where its channels were before they went to the end."""

    rank: int
    axis: int

    def to_last(self) -> list[int]:
        """The axes behind the batch, counted from 1, in the order that moves the channels."""
        return [*(n for n in range(1, self.rank) if n != self.axis), self.axis]

    def to_first(self) -> list[int]:
        """The inverse of `to_last`."""
        order = self.to_last()
        return [order.index(n) + 1 for n in range(1, self.rank)]

    def moved(self, axis: int) -> int:
        """Where an axis of the writer's stands now."""
        axis %= self.rank
        return axis if axis == 0 else self.to_last().index(axis) + 1


@dataclass
class Moved:
    """The tensors of one graph whose channels were moved, and the Permute layers in between.

    Args:
        model: config of the functional model.
        layouts: of the tensors that have channels last by now.
    """

    model: Json
    layouts: dict[History, Layout] = field(default_factory=dict)
    turned: dict[tuple[History, str], History] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._edits = Edits(self.model)
        self._named = {name_of(layer): layer for layer in reversed(layers_of(self.model))}

    def layout(self, value: Any) -> Layout | None:
        """The layout of a tensor; None for what is as the writer had it."""
        history = history_of(value)
        return self.layouts.get(history) if history else None

    def last(self, value: Any, layout: Layout) -> Any:
        """A tensor with channels last."""
        history = history_of(value)
        if history is None or history in self.layouts:
            return value
        return self._turn(history, "channels_last", layout.to_last())

    def first(self, value: Any) -> Any:
        """A call's argument with every tensor in it as the writer had it."""

        def back(part: Any) -> Any:
            history = history_of(part)
            layout = self.layouts.get(history) if history else None
            if history is None or layout is None:
                return part
            return self._turn(history, "channels_first", layout.to_first())

        return replace_all(value, back)

    def _turn(self, history: History, order: str, dims: list[int]) -> Json:
        """The tensor behind a Permute layer, made once for each tensor."""
        if (history, order) not in self.turned:
            name = self._edits.free_name(f"{history[0]}_{order}")
            config = {"name": name, "dims": dims}
            item = keras_object("keras.layers", "Permute", config)
            place = self._edits.place_of(self._named[history[0]]) + 1
            calls = [call_of(tensor(*history))]
            self._named[name] = {**item, "name": name, "inbound_nodes": calls}
            self._edits.add(self._named[name], place)
            self.turned[history, order] = (name, 0, 0)
        return tensor(*self.turned[history, order])

    def ends(self, outputs: Any, index: Callable[[str], int]) -> Any:
        """The model's outputs, as the writer had them.

        Args:
            outputs: `output_layers`.
            index: what `output_layers` adds to the number of a layer's call.
        """

        def back(part: Any) -> Any:
            if not (isinstance(part, list) and len(part) == 3 and isinstance(part[0], str)):
                return part
            history = (part[0], part[1] - index(part[0]), part[2])
            layout = self.layouts.get(history)
            if layout is None:
                return part
            turned = self._turn(history, "channels_first", layout.to_first())
            return list(history_of(turned) or part)

        return replace_all(outputs, back)
