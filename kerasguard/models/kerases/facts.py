"""The values that every Keras is asked for, and the questions that each of them answers.

`keras3` and `legacy` are modules with exactly these names: one is Keras 3, the other tf_keras.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

__all__ = ["Call", "Habits", "Keras", "Target"]

Target = tuple[Any, str, str]
"""A function that saves: its owner, its name there, and the only module whose calls count."""


class Call(NamedTuple):
    """A node of a graph: what is called, the symbolic tensors it gets and makes, all arguments."""

    operation: Any
    inputs: list[Any]
    outputs: list[Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Habits:
    """How a version of Keras walks over a model when it saves it.

    Args:
        nested: whether it looks into containers inside containers, as Keras does since 3.14.
        order: in which it takes an object's attributes: a model's layers first, then the others
            by name, private ones last; or, as Keras 2 did, by name either way.
        recounts: whether items of a list that were met before count in the names of the others.
        sets: whether it looks into sets.
    """

    nested: bool = True
    order: Literal["layers first", "rising", "falling"] = "layers first"
    recounts: bool = True
    sets: bool = False


class Keras(Protocol):
    """One Keras, and what its objects are. Classes are as for `isinstance`.

    `FUNCTIONAL_ARGUMENTS` are those of a functional model's constructor, `INTERNAL` attributes with
    variables that count batches and belong to no checkpoint.
    """

    NAME: str
    HABITS: Habits
    LAYER: Any
    MODEL: Any
    SEQUENTIAL: Any
    OPTIMIZER: Any
    METRIC: Any
    VARIABLE: Any
    SYMBOLIC: Any
    FUNCTIONAL_ARGUMENTS: tuple[str, ...]
    INTERNAL: frozenset[str]

    def version(self) -> str:
        """Its version, `3.15.1`."""

    def backend(self) -> str:
        """What computes: `tensorflow`, `jax`, `torch`, ..."""

    def layer_class(self, name: str) -> Any:
        """The class of `keras.layers` with this name; of nothing where it has none."""

    def functions(self, module: str) -> Any:
        """A public module of functions: `activations`, `losses`."""

    def part_classes(self) -> tuple[type, ...]:
        """The classes that models are made of, so that a config may name subclasses of them."""

    def custom_objects(self) -> Mapping[str, Any]:
        """What was registered as serializable, by package and name."""

    def scoped_objects(self) -> dict[str, Any]:
        """Classes and functions of the custom object scope that is open, by name."""

    def saveable_class(self) -> Any:
        """The classes of everything that its saving follows."""

    def object_type(self, item: Any) -> str:
        """How its saving treats an object: `Functional`, `Sequential`, `Layer`, `Optimizer`..."""

    def attribute_skipset(self, kind: str) -> frozenset[str]:
        """Names of the attributes that its saving does not follow in an object of this kind."""

    def stored(self, item: Any) -> dict[str, Any] | None:
        """What an object would store of its own, by the name that it would store it under.

        Variables as themselves where it stores them as such, arrays elsewhere. None where it
        cannot tell yet: a lookup that was never adapted has no weights to show.
        """

    def loads_plainly(self, item: Any) -> bool:
        """Whether loading an object is no more than assigning the variables that it stores."""

    def own_state(self, layer: Any) -> tuple[list[Any], list[Any]]:
        """Seeds and other variables of the layer itself, without those of the layers in it."""

    def sublayers(self, layer: Any) -> list[Any]:
        """All layers that a layer tracks, also those that its saving passes by."""

    def trained_by(self, optimizer: Any, among: Sequence[Any]) -> list[Any]:
        """The variables that an optimizer was built for, in order.

        Args:
            optimizer: of this Keras.
            among: variables of the model, for a Keras that only remembers their names.
        """

    def optimizer_is_built(self, optimizer: Any) -> bool:
        """Whether it has its slots."""

    def slot_name(self, variable: Any, weight: Any) -> str:
        """What an optimizer's variable is of a weight, as its name tells; else empty."""

    def leaf(self, variable: Any) -> str:
        """A variable's own name: `kernel`."""

    def path(self, variable: Any) -> str:
        """A variable's name with those of what holds it: `dense/kernel`."""

    def serialize(self, item: Any) -> Any:
        """An object as its saving writes it to JSON."""

    def sharing_scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where layers that are shared between models are read and written as one."""

    def flatten(self, structure: Any) -> list[Any]:
        """The leaves of nested lists and dicts."""

    def pack(self, structure: Any, leaves: Sequence[Any]) -> Any:
        """Leaves in a structure like the one they came from."""

    def is_tensor(self, value: Any) -> bool:
        """Whether it is a tensor of the backend."""

    def to_tensor(self, value: Any) -> Any:
        """An array as a tensor of the backend."""

    def compiled_with(self, model: Any) -> dict[str, Any] | None:
        """The arguments that a model was compiled with, which its next save writes."""

    def operations(self, model: Any) -> list[Any]:
        """The layers and operations of a Functional model, in order."""

    def call_of(self, node: Any) -> Call:
        """What a node of a Functional model says."""

    def save_targets(self) -> Iterator[Target]:
        """Every public way to save a model, and what those call in turn."""

    def may_overwrite(self, filepath: Any) -> bool:
        """Ask the user as it does."""
