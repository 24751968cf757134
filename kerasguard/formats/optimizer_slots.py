"""Which weight an optimizer's variable belongs to, as its name tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kerasguard.tensors import LayerRecord, TensorRecord, snake_case

__all__ = ["optimizer_layer", "with_slots"]


def with_slots(records: Mapping[str, TensorRecord]) -> dict[str, TensorRecord]:
    """The records with slot and weight filled in where an optimizer's variable names them.

    Keras 2.11 on names a slot `Adam/m/dense/kernel`, Keras 3 `adam/dense_kernel_momentum`, Keras
    in TensorFlow 1 `training/Adam/dense/kernel/m`. Names that several weights share tell nothing.
    """
    paths = _unique((r.name, r.key) for r in records.values() if r.role == "weight")
    flat = _unique((name.replace("/", "_"), key) for name, key in paths.items())
    result = {}
    for key, record in records.items():
        if record.role == "optimizer" and not record.slot:
            slot, weight = _slot(record.name, paths, flat)
            record = replace(record, slot=slot, slot_of=weight)
        result[key] = record
    return result


def optimizer_layer(records: Iterable[TensorRecord]) -> LayerRecord | None:
    """The optimizer, named after the scope of its variables (`adam`); None without variables."""
    found = list(records)
    weights = {r.name.split("/")[0] for r in found if r.role == "weight"}
    scopes = [r.name.split("/")[:-1] for r in found if r.role == "optimizer"]
    for scope in scopes:
        named = [part for part in scope if part != "training"]
        if named and scope[0] not in weights:
            return LayerRecord("optimizer", snake_case(named[0]))
    return LayerRecord("optimizer", "") if scopes else None


def _slot(name: str, paths: Mapping[str, str], flat: Mapping[str, str]) -> tuple[str, str]:
    """Slot and weight; two empty strings where the name tells of none."""
    parts = name.split("/")
    for start in range(1, len(parts)):
        if (weight := paths.get("/".join(parts[start:]))) is not None and start > 1:
            return parts[start - 1], weight
        if (weight := paths.get("/".join(parts[start:-1]))) is not None:
            return parts[-1], weight
    words = parts[-1].split("_")
    for end in range(len(words) - 1, 0, -1):
        if (weight := flat.get("_".join(words[:end]))) is not None:
            return "_".join(words[end:]), weight
    return "", ""


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The pairs whose first part occurs once."""
    found: dict[str, str] = {}
    twice = set()
    for name, key in pairs:
        if name in found:
            twice.add(name)
        found[name] = key
    return {name: key for name, key in found.items() if name not in twice}
