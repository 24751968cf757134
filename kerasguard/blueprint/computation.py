"""How Keras 3 computes one call: operations in a row, and what each of them is called on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasguard.blueprint.nodes import tensors_in
from kerasguard.blueprint.objects import Json, keras_object

__all__ = ["PREVIOUS", "Plan", "Unsupported", "constant", "one", "slice_part", "static"]

PREVIOUS: Json = {"class_name": "__previous__"}
"""Among the arguments of a step: what the step before it made."""


class Unsupported(Exception):  # noqa: N818 - not an error of ours, a fact about the file
    """Keras 3 has no operation that computes this; the text says what is in the way."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to compute one call.

    Args:
        tensors: the arguments of the first operation.
        steps: names of Keras' operations with their options, in order.
        arguments: by number, what a later step is called on; only `PREVIOUS` where it is not told.
    """

    tensors: tuple[Any, ...]
    steps: tuple[tuple[str, Json], ...]
    arguments: Mapping[int, tuple[Any, ...]] = field(default_factory=dict)


def one(tensor: Any, step: str, **options: Any) -> Plan:
    """A plan of one operation on one tensor."""
    return Plan((tensor,), ((step, options),))


def static(value: Any, what: str) -> Any:
    """A value that the file knows; not one that another layer computes."""
    if next(tensors_in(value), None) is not None:
        raise Unsupported(f"{what} is computed inside the model")
    return value


def slice_part(part: Any) -> Any:
    """One entry of a slice as Keras 3 writes it."""
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(part, dict) and {"start", "stop", "step"} & set(part):
        config = {key: part.get(key) for key in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": config}
    if part is None or isinstance(part, (int, dict)):
        return part
    raise Unsupported("the slice picks elements by a list")


def constant(value: Any) -> Any:
    """A constant argument; a list is an array."""
    if isinstance(value, list) and value and not any(isinstance(x, dict) for x in _flat(value)):
        kind = "float32" if any(isinstance(x, float) for x in _flat(value)) else "int32"
        config = {"value": value, "dtype": kind}
        return {key: x for key, x in keras_object("", "__numpy__", config).items() if x}
    return value


def _flat(value: Any) -> list[Any]:
    return [x for item in value for x in _flat(item)] if isinstance(value, list) else [value]
