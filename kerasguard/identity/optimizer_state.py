"""Pairs optimizer state: whole or not at all, by slot and weight where both sides tell them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kerasguard.identity.classic_slots import in_blocks, is_classic
from kerasguard.tensors import Table, TensorRecord

__all__ = ["pair_optimizer"]

_CLASSES = {
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lamb",
    "lion",
    "lossscaleoptimizer",
    "muon",
    "nadam",
    "rmsprop",
    "schedulefreeadamw",
    "sgd",
}


def pair_optimizer(
    expected: Table, stored: Table, weights: Mapping[str, str], *, in_order: bool
) -> tuple[dict[str, str], str]:
    """Stored optimizer tensor by expected one, or the reason why the state cannot be restored.

    Args:
        expected: the model's table.
        stored: the checkpoint's table.
        weights: stored weight by expected weight.
        in_order: whether the weights lie where the format's own addressing puts them, so that
            state without slot names may be paired by position.

    Returns:
        Pairs (all of the expected state, or none) and the reason; one of the two is empty.
    """
    mine = [r for r in expected.tensors.values() if r.role == "optimizer"]
    other = [r for r in stored.tensors.values() if r.role == "optimizer"]
    if not mine or not other:
        return {}, ""
    classes = [_optimizer_class(t) for t in (expected, stored)]
    if len({*classes} - {""}) > 1:
        return {}, f"it belongs to another optimizer class ({' and '.join(sorted(classes))})"
    slots, alike = any(r.slot_of for r in mine), classes[0] == classes[1] != ""
    if any(r.slot_of for r in other) and (slots or alike):
        return _by_slot(mine, other, weights)
    if is_classic(other):
        blocks = in_blocks(classes[0], mine, other) if in_order else None
        reason = f"its slots are unnamed and not in the order that {classes[0]} wrote them"
        return (blocks, "") if blocks is not None else ({}, reason)
    if alike and not slots and len(other) > len(mine):
        return _without_slots(mine, other)
    if len(mine) == len(other) + 1:  # Keras 2 kept no learning rate, the rest in the same order
        mine = [r for r in mine if "learning_rate" not in (r.slot, r.variable)]
    elif len(other) == len(mine) + 1 and not any(r.slot == "learning_rate" for r in mine):
        # The model's rate follows a schedule; Keras 3 keeps a plain one behind the iteration.
        other = [r for i, r in enumerate(other) if i != 1 or r.spec.shape]
    if len(mine) != len(other):
        return {}, f"the model's optimizer has {len(mine)} tensors, the checkpoint {len(other)}"
    if not in_order:
        return (
            {},
            "layers changed places, and the file does not say which weight each slot belongs to",
        )
    pairs = dict(zip(mine, other, strict=True))
    wrong = [r for r, s in pairs.items() if r.spec.shape != s.spec.shape]
    if wrong:
        return {}, f"{wrong[0].label} has another shape in the checkpoint"
    return {r.key: s.key for r, s in pairs.items()}, ""


def _by_slot(
    mine: list[TensorRecord], other: list[TensorRecord], weights: Mapping[str, str]
) -> tuple[dict[str, str], str]:
    """Every slot of the model's optimizer; what the checkpoint keeps beyond them is left."""
    slots = [{r.slot or r.variable for r in side if r.slot_of} for side in (mine, other)]
    if not slots[0] & slots[1] and slots[0]:
        return {}, f"the checkpoint has no {min(slots[0])}; it holds another optimizer's slots"
    found = {(s.slot or s.variable, s.slot_of): s for s in other}
    pairs: dict[str, str] = {}
    for record in mine:
        slot = record.slot or record.variable
        match = found.get((slot, weights.get(record.slot_of, record.slot_of)))
        if match is None and slot == "learning_rate":
            continue  # before Keras 3 it was part of the config only, which compiled the model
        if match is None:
            return {}, f"the checkpoint has no {record.label}; it holds another optimizer's slots"
        if match.spec.shape != record.spec.shape:
            return {}, f"{record.label} has another shape in the checkpoint"
        pairs[record.key] = match.key
    return pairs, ""


def _without_slots(
    mine: list[TensorRecord], other: list[TensorRecord]
) -> tuple[dict[str, str], str]:
    """How often it was applied, of an optimizer that keeps nothing for a weight.

    SGD of Keras 2.11 to 2.15 made momenta also where the momentum is 0, and never used them.
    """
    counts = [r for r in mine if r.slot == "iteration"]
    scalars = [r for r in other if not r.spec.shape]
    if len(counts) != 1 or scalars != other[:1] or "int" not in scalars[0].spec.dtype:
        return {}, f"the model's optimizer has {len(mine)} tensors, the checkpoint {len(other)}"
    return {counts[0].key: scalars[0].key}, ""


def _optimizer_class(table: Table) -> str:
    """The optimizer's class, spelt alike everywhere; empty where nothing tells it.

    A name tells it only if it is one that Keras makes up, `adam_1` or `RMSprop`.
    """
    layer = table.layers.get("optimizer")
    if layer is None:
        return ""
    if layer.class_name:
        return layer.class_name.replace("_", "").lower()
    name = re.sub(r"_[0-9]+$", "", layer.name).replace("_", "").lower()
    return name if name in _CLASSES else ""
