"""Whether the tensors of a model are floats, whole numbers or truth values, as the configs tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kerasguard.blueprint.nodes import History, calls_of, is_graph, layers_of, tensors_in
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of

__all__ = ["kept_of_small", "kind_in", "kind_made", "kinds_of", "merged"]

_INTEGERS = frozenset({"int32", "int64", "uint32", "uint64"})
_SMALL = frozenset({"int8", "int16", "uint8", "uint16"})
_BOOLEAN = frozenset(
    {
        "All", "Any", "Equal", "Greater", "GreaterEqual", "Isfinite", "Isinf", "Isnan", "Less",
        "LessEqual", "LogicalAnd", "LogicalNot", "LogicalOr", "LogicalXor", "NotEqual",
    }
)  # fmt: skip
_COUNTED = frozenset({"Argmax", "Argmin", "Argsort", "CountNonzero"})
# Whatever they are called on, what they make is no whole number.
_FLOATS = (
    "Dense", "Conv", "SeparableConv", "DepthwiseConv", "Embedding", "LSTM", "GRU", "SimpleRNN",
    "Bidirectional", "BatchNormalization", "LayerNormalization", "AveragePooling", "GlobalAverage",
    "Normalization", "Rescaling",
)  # fmt: skip
# What they make cannot be told from what they are called on.
_UNCLEAR = frozenset(
    {
        "CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup",
        "Lambda", "StringLookup", "TFOpLambda", "TextVectorization",
    }
)  # fmt: skip
# What Keras 3 computes of whole numbers of 8 and 16 bits as TensorFlow does.
_OF_SMALL = _BOOLEAN | frozenset(
    {
        "Absolute", "Add", "Argmax", "Argmin", "Cast", "Concatenate", "Copy", "ExpandDims", "Flip",
        "FloorDivide", "GetItem", "Identity", "Max", "Maximum", "Min", "Minimum", "Mod", "Multiply",
        "OneHot", "OnesLike", "Repeat", "Reshape", "Roll", "Squeeze", "Stack", "Subtract",
        "Swapaxes", "Take", "Tile", "Transpose", "TrueDivide", "Where", "ZerosLike",
    }
)  # fmt: skip


def kept_of_small(step: str) -> bool:
    """Whether an operation makes of integers of 8 or 16 bits what TensorFlow makes of them.

    Keras 3 sums them in 32 bits, for example.
    """
    return step.partition(".")[2] in _OF_SMALL


def kind_made(step: str, options: Json, kind: str) -> str:
    """The kind of an operation's result, if `kind` is that of its tensors."""
    last = step.partition(".")[2]
    if last in _BOOLEAN:
        return "bool"
    if last in _COUNTED:
        return "int"
    if last == "TrueDivide":
        return "float"
    dtype = options.get("dtype")
    return _of_dtype(dtype) if isinstance(dtype, str) else kind


def _of_dtype(dtype: str) -> str:
    """The kind of a dtype: `int` from 32 bits on, `small` below that, empty for a string."""
    if dtype in _SMALL:
        return "small"
    if dtype in _INTEGERS:
        return "int"
    return "bool" if dtype == "bool" else "float" if "float" in dtype else ""


def merged(kinds: Iterable[str]) -> str:
    """The kind of what is computed of several: a float among them makes it one."""
    found = set(kinds)
    return "float" if "float" in found else found.pop() if len(found) == 1 else ""


def kinds_of(model: Json) -> dict[History, str]:
    """The kind of the first output of every call in a functional model."""
    found: dict[History, str] = {}
    # The configs list layers in the order of their depth; a few rounds do for shared ones.
    for _ in range(3):
        for layer in layers_of(model):
            if class_of(layer) == "InputLayer":
                found[name_of(layer), 0, 0] = _start(layer)
            for number, call in enumerate(calls_of(layer)):
                given = [kind_in(found, history) for history in tensors_in(call["args"])]
                found[name_of(layer), number, 0] = _made(layer, given)
    return found


def kind_in(kinds: dict[History, str], history: History) -> str:
    """The kind of a tensor; empty where it cannot be told."""
    return kinds.get((*history[:2], 0), "")


def _start(layer: Json) -> str:
    return _of_dtype(str(config_of(layer).get("dtype") or "float32"))


def _made(layer: Json, given: list[str]) -> str:
    kind = class_of(layer)
    if kind.startswith("ops."):
        return kind_made(f"ops.{kind[4:]}", config_of(layer), merged(given))
    if kind.startswith(_FLOATS):
        return "float"
    inner = config_of(layer)
    if layers_of(inner):
        return _made_by_model(inner, given)
    return "" if kind in _UNCLEAR else _same(given)


def _same(kinds: list[str]) -> str:
    return kinds[0] if len(set(kinds)) == 1 else ""


def _made_by_model(model: Json, given: list[str]) -> str:
    """The kind of what a model inside the model makes."""
    if not is_graph(model):
        kind = _same(given)
        for layer in layers_of(model):
            kind = _start(layer) if class_of(layer) == "InputLayer" else _made(layer, [kind])
        return kind
    kinds = kinds_of(model)
    return _same([kind_in(kinds, history) for history in _ends(model.get("output_layers"))])


def _ends(listed: Any) -> list[History]:
    """The tensors that `output_layers` names, in each of its forms."""
    if isinstance(listed, list) and len(listed) == 3 and isinstance(listed[0], str):
        return [(listed[0], int(listed[1]), int(listed[2]))]
    return [x for part in listed for x in _ends(part)] if isinstance(listed, list) else []
