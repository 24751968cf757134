"""The modules of a PyTorch state dict, by the names of their arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["COUNTER", "ROOT", "as_modules"]

COUNTER = "num_batches_tracked"
"""Of a BatchNorm: batches that it has seen, which only `momentum=None` asks for."""
ROOT = "self"
"""What a module is called whose arrays are the whole state dict and have no prefix."""

# nn.RNNBase numbers its layers and names the two directions of each: `weight_ih_l0_reverse`.
_RECURRENT = re.compile(r"((?:weight|bias)_(?:ih|hh|hr))_l(\d+)(_reverse)?")
# What nn.MultiheadAttention holds beside the module `out_proj` inside it.
_PROJECTIONS = frozenset({"in_proj_weight", "q_proj_weight"})


def as_modules(table: Table) -> Table:
    """The table with a layer per module, and variables by their name inside it.

    A recurrent module of several layers is a module per layer (`rnn.l0`, `rnn.l1`), of one layer
    it is that one; attention has its output's projection with it (`out_proj.weight`).

    Args:
        table: of tensors by their name in the state dict.
    """
    placed = {key: _placed(key) for key in table.tensors}
    attention = {prefix for prefix, name in placed.values() if name in _PROJECTIONS}
    depths = _depths(placed.values())
    tensors: dict[str, TensorRecord] = {}
    for key, record in table.tensors.items():
        prefix, name = placed[key]
        outer, _, last = prefix.rpartition(".")
        if last == "out_proj" and outer in attention:
            prefix, name = outer, f"{last}.{name}"
        elif found := _RECURRENT.fullmatch(name):
            name = found[1] + (found[3] or "")
            prefix = prefix if depths[prefix] == 1 else f"{prefix}.l{found[2]}".lstrip(".")
        module = prefix or ROOT
        tensors[key] = replace(record, name=key, variable=name, layer=module)
    modules = dict.fromkeys(record.layer for record in tensors.values())
    layers = {name: LayerRecord(name, name) for name in modules}
    return Table(tensors, layers, "name")


def _placed(key: str) -> tuple[str, str]:
    """The module that an array belongs to, and its name there."""
    prefix, _, name = key.rpartition("/" if "/" in key else ".")
    return prefix.replace("/", "."), name


def _depths(placed: Iterable[tuple[str, str]]) -> dict[str, int]:
    """By recurrent module, the number of its layers."""
    found: dict[str, set[str]] = {}
    for prefix, name in placed:
        if match := _RECURRENT.fullmatch(name):
            found.setdefault(prefix, set()).add(match[2])
    return {prefix: len(numbers) for prefix, numbers in found.items()}
