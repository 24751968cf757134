"""The layers of a Keras model as PyTorch's modules see them: a cell belongs to its layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["Layer", "layers_of"]

# Layers of several sublayers that are one module of PyTorch.
_WHOLE = frozenset({"Bidirectional", "GRU", "LSTM", "MultiHeadAttention", "SimpleRNN"})


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the model that takes the arrays of one module.

    Args:
        key: in the expected table.
        kind: the class, `Dense`.
        inner: of a Bidirectional, the class inside it.
        names: of the layers on the way to it, outermost first, its own last.
        weak: whether Keras made its own name up.
        variables: its variables and those of its sublayers, by the path below it: `cell/kernel`.
        around: keys of the layers on the way to it, outermost first, its own last.
    """

    key: str
    kind: str
    inner: str
    names: tuple[str, ...]
    weak: bool
    variables: Mapping[str, TensorRecord]
    around: tuple[str, ...]

    @property
    def label(self) -> str:
        """What messages call it."""
        return "/".join(self.names) or self.key


def layers_of(expected: Table) -> list[Layer]:
    """The model's layers with weights, in the table's order."""
    found: dict[str, dict[str, TensorRecord]] = {}
    for record in expected.tensors.values():
        if record.role == "weight":
            key = _whole(record.layer, expected.layers)
            below = record.layer[len(key) :].lstrip("/")
            name = f"{below}/{record.variable}" if below else record.variable
            found.setdefault(key, {})[name] = record
    return [_layer(key, variables, expected) for key, variables in found.items()]


def _whole(key: str, layers: Mapping[str, LayerRecord]) -> str:
    """The outermost layer around `key` that is one module, else the layer itself."""
    around = _around(key, layers)
    return next((k for k in around if layers[k].class_name in _WHOLE), key)


def _around(key: str, layers: Mapping[str, LayerRecord]) -> tuple[str, ...]:
    parts = key.split("/")
    paths = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return tuple(path for path in paths if path in layers)


def _layer(key: str, variables: Mapping[str, TensorRecord], expected: Table) -> Layer:
    record = expected.layers.get(key, LayerRecord(key, key.rpartition("/")[2]))
    around = _around(key, expected.layers)
    forward = expected.layers.get(f"{key}/forward_layer")
    names = tuple(name for k in around if (name := expected.layers[k].name))
    return Layer(
        key,
        record.class_name,
        forward.class_name if forward else "",
        names,
        record.auto_named,
        variables,
        around,
    )
