"""Which weight an optimizer's variable belongs to, as its name tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kerasguard.tensors import LayerRecord, TensorRecord, snake_case

__all__ = ["optimizer_layer", "path_in", "with_slots"]

# What Keras 2 called what Keras 3 calls otherwise; the quantities are the same.
_TODAY = {
    "accum_grad": "accumulated_grad",
    "accum_var": "accumulated_delta_var",
    "iter": "iteration",
    "iterations": "iteration",
    "m": "momentum",
    "mg": "average_gradient",
    "rms": "velocity",
    "u": "norm",
    "v": "velocity",
    "vhat": "velocity_hat",
}
# What slots are called that stand in front of a weight's path without an optimizer's name, as where
# `optimizer.build` was called by hand.
_SLOTS = frozenset({*_TODAY, *_TODAY.values(), "accumulator", "average", "linear"})
# Kept as variables by the optimizers of TensorFlow 1.13 to 2.10, as plain numbers by today's.
_SETTINGS = frozenset(
    {"beta", "beta_1", "beta_2", "decay", "epsilon", "initial_accumulator_value", "momentum"}
    | {"l1_regularization_strength", "l2_regularization_strength", "learning_rate_power", "rho"}
)


def path_in(key: str) -> str:
    """The variable's path in a legacy file's key, `model_weights/<layer>/<path>`."""
    return key.partition("/")[2].partition("/")[2]


def with_slots(records: Mapping[str, TensorRecord]) -> dict[str, TensorRecord]:
    """The records with slot and weight filled in where an optimizer's variable names them.

    Keras 2.11 on names a slot `Adam/m/dense/kernel`, Keras 3 `adam/dense_kernel_momentum`, Keras
    in TensorFlow 1 `training/Adam/dense/kernel/m`. Names that several weights share tell nothing.
    Slots get the names of Keras 3; what is a setting today is not state of the optimizer.
    """
    paths = _unique((r.name, r.key) for r in records.values() if r.role == "weight")
    flat = _unique((name.replace("/", "_"), key) for name, key in paths.items())
    result = {}
    for key, record in records.items():
        if record.role == "optimizer":
            slot, weight = record.slot, record.slot_of
            if not weight:
                slot, weight = _slot(record.name, paths, flat)
            if not weight and record.variable in _SETTINGS:
                result[key] = replace(record, role="state")
                continue
            slot = slot if weight else record.variable
            record = replace(record, slot=_TODAY.get(slot, slot), slot_of=weight)
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
        scoped = start > 1 or parts[0] in _SLOTS
        if scoped and (weight := paths.get("/".join(parts[start:]))) is not None:
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
