"""How Keras 3 computes a call of a TensorFlow function, and how to put that into a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kerasguard.blueprint.axis_operations import AXES
from kerasguard.blueprint.computation import PREVIOUS, Plan, Unsupported, constant, static
from kerasguard.blueprint.edits import free_name, insert_after
from kerasguard.blueprint.image_operations import IMAGES
from kerasguard.blueprint.nodes import call_of, calls_of
from kerasguard.blueprint.objects import Json, keras_object, name_of, replace_all
from kerasguard.blueprint.operations import FUNCTIONS, Operation
from kerasguard.blueprint.special_operations import SPECIAL

__all__ = ["Rank", "Unsupported", "filled", "install", "operation", "plan"]

Rank = Callable[[Any], "int | None"]
"""Tells a tensor's number of axes; None where that is not known."""
_SPECIAL = {**SPECIAL, **IMAGES, **AXES}

# Other names of the same parameter, in TensorFlow 1's functions.
_OLD_NAMES = {
    "axis": ("dim", "dimension", "reduction_indices"),
    "keepdims": ("keep_dims",),
}
_IGNORED = frozenset({"name", "validate_args", "validate_shape", "input_dims"})


def plan(function: str, first: Any, rest: Mapping[str, Any], rank: Rank) -> Plan:
    """The operations that compute one call of a function.

    Args:
        function: TensorFlow's name of it, `math.reduce_mean`.
        first: its first argument.
        rest: the others by name; tensors among them are `__keras_tensor__` objects.
        rank: tells the number of axes of its tensors.

    Raises:
        Unsupported: Keras 3 has no such operation; the text names function and reason.
    """
    given = {key: value for key, value in rest.items() if key not in _IGNORED}
    for name in _names(function):
        if name in _SPECIAL:
            parameter, special = _SPECIAL[name]
            try:
                found = special({**given, parameter: first, "function": name, "rank": rank})
            except Unsupported as reason:
                raise Unsupported(f"{function}: {reason}") from None
            except KeyError as missing:
                raise Unsupported(f"{function} is called without {missing}") from None
            return replace(found, tensors=tuple(map(constant, found.tensors)))
        if name in FUNCTIONS:
            return _from_table(function, FUNCTIONS[name], first, given)
    raise Unsupported(f"{function} is not in the table of functions that Keras 3 computes")


def _names(function: str) -> tuple[str, ...]:
    """The full name, then the last part of it, for the namespaces that the table means."""
    bare = function.removeprefix("tf.").removeprefix("compat.v1.").removeprefix("compat.v2.")
    space, _, last = bare.rpartition(".")
    plain = ("", "math", "nn", "linalg", "keras.backend", "keras.activations", "__operators__")
    return (bare, last) if space in plain else (bare,)


def _from_table(function: str, operation: Operation, first: Any, given: Json) -> Plan:
    names = [_argument(function, names, given) for names in operation.tensors[1:]]
    options = _options(function, operation, given)
    known_options = (n for told, _ in operation.options.values() for n in _with_old(told))
    used = {*names, *known_options}
    for name, value in given.items():
        wanted = operation.required.get(name, value)
        known = name in used or name in operation.required or value in (None, False)
        if not known or (wanted is not None and value not in (None, wanted)):
            raise Unsupported(f"{function} with {name}={value!r} is not in Keras 3")
    steps = tuple((step.lstrip("*"), options if n == 0 else {}) for n, step in _steps(operation))
    again = [n for n, step in _steps(operation) if step.startswith("*")]
    arguments = dict.fromkeys(again, (first, PREVIOUS))
    return Plan(tuple(map(constant, (first, *(given[n] for n in names)))), steps, arguments)


def _argument(function: str, names: Sequence[str], given: Json) -> str:
    """The one of its names under which a tensor is given."""
    name = next((n for n in names if n in given), None)
    if name is None:
        raise Unsupported(f"{function} is called without {names[0]}")
    return name


def _options(function: str, operation: Operation, given: Json) -> Json:
    """Options of Keras' operation, from the arguments of TensorFlow's."""
    options: Json = {}
    for keras, (names, default) in operation.options.items():
        name = next((n for n in _with_old(names) if given.get(n) is not None), None)
        value = default if name is None else given[name]
        if value is not None and value != []:
            options[keras] = _told(value, function, keras)
    return options


def _told(value: Any, function: str, option: str) -> Any:
    try:
        return static(value, f"its {option}")
    except Unsupported as reason:
        raise Unsupported(f"{function}: {reason}") from None


def _steps(operation: Operation) -> list[tuple[int, str]]:
    return list(enumerate(operation.steps))


def _with_old(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(n for name in names for n in (name, *_OLD_NAMES.get(name, ())))


def install(model: Json, layer: Json, plans: list[Plan]) -> None:
    """Make a layer of a functional model compute its plans, one for each of its calls.

    Raises:
        Unsupported: its calls differ in more than their tensors.
    """
    steps = plans[0].steps
    if any(other.steps != steps for other in plans):
        raise Unsupported("its calls differ in their options")
    name = name_of(layer)
    layer.update(operation(steps[0], name), name=name)
    layer.pop("build_config", None)
    layer["inbound_nodes"] = [call_of(*found.tensors) for found in plans]
    last = layer
    for number, step in enumerate(steps[1:], 1):
        new = operation(step, free_name(model, f"{name}_{step[0].partition('.')[2].lower()}"))
        insert_after(model, last, new)
        for call, found in zip(calls_of(new), plans, strict=True):
            if number in found.arguments:
                call["args"] = filled(list(found.arguments[number]), call["args"][0])
        last = new


def filled(arguments: list[Any], previous: Any) -> Any:
    """The arguments with the previous step's tensor where it is meant."""
    return replace_all(arguments, lambda part: previous if part == PREVIOUS else part)


def operation(step: tuple[str, Json], name: str) -> Json:
    """An operation or a layer as Keras 3 writes it."""
    module, _, class_name = step[0].partition(".")
    config = {"name": name, **step[1]}
    if module == "layers":
        return keras_object("keras.layers", class_name, config)
    item = keras_object(f"keras.src.ops.{module}", class_name, config)
    return {**item, "registered_name": class_name}
