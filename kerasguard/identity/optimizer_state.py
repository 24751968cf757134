"""Pairs optimizer state by identity: which optimizer, which slot, of which variable.

An optimizer is known by its path in the model (`optimizer`, `g_optimizer`, `optimizers/adam`), a
slot by its name and the variable it belongs to. Where the checkpoint tells no slots, state is
paired whole or not at all: by position, or as the blocks of older versions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kerasguard.identity.classic_slots import in_blocks, is_classic
from kerasguard.identity.named_slots import by_slot
from kerasguard.identity.slot_order import by_position, counted, never_built, thawed, without_slots
from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["State", "optimizer_groups", "pair_optimizers", "with_roles"]

_MAIN = "optimizer"
_INNER, _WRAPPER = "inner_optimizer", "lossscaleoptimizer"
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


@dataclass(frozen=True)
class State:
    """Which stored tensor goes to which of the model's optimizers' tensors.

    Args:
        pairs: stored key by expected key.
        reasons: by an optimizer's path, why nothing of its state can be restored.
        resized: expected tensors whose weight has state of another shape in the checkpoint.
    """

    pairs: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    resized: frozenset[str] = frozenset()

    @property
    def reason(self) -> str:
        """Why state is not restored, in one line; empty where all that is stored is."""
        several = len(self.reasons) > 1 or bool(self.reasons.keys() - {_MAIN})
        told = (f"{path}: {why}" if several else why for path, why in self.reasons.items())
        return "; ".join(told)


def optimizer_groups(table: Table) -> dict[str, list[TensorRecord]]:
    """The tensors of each optimizer by its path; formats that tell of one only call it so."""
    groups: dict[str, list[TensorRecord]] = {}
    for record in table.tensors.values():
        if record.role == "optimizer":
            own = record.layer and record.key.startswith(f"{record.layer}/vars/")
            groups.setdefault(record.layer if own else _MAIN, []).append(record)
    return groups


def with_roles(expected: Table, stored: Table) -> Table:
    """The stored table, in which what lies where the model has an optimizer is an optimizer's."""
    paths = {r.layer for r in expected.tensors.values() if r.role == "optimizer"} - {_MAIN}
    changed = {
        key: replace(record, role="optimizer")
        for key, record in stored.tensors.items()
        if record.layer in paths and record.role == "weight"
    }
    return replace(stored, tensors={**stored.tensors, **changed}) if changed else stored


def pair_optimizers(
    expected: Table,
    stored: Table,
    weights: Mapping[str, str],
    layers: Mapping[str, str],
    *,
    in_order: bool,
    but: Container[str] = (),
) -> State:
    """Pair the state of every optimizer of the model.

    Args:
        expected: the model's table.
        stored: the checkpoint's table.
        weights: stored weight by expected weight.
        layers: stored layer by expected layer.
        in_order: whether the weights lie where the format's own addressing puts them, so that
            state without slot names may be paired by position.
        but: the model's tensors that are left out; they hold their places where places count.
    """
    ours, theirs = optimizer_groups(expected), optimizer_groups(stored)
    pairs: dict[str, str] = {}
    reasons: dict[str, str] = {}
    resized: set[str] = set()

    def of(key: str) -> str:
        return weights.get(key) or _elsewhere(key, layers)

    for path, mine in ours.items():
        source = path if path in theirs else _renamed(path, ours, theirs)
        other = theirs.get(source, [])
        if not other:
            continue
        kinds = (_class_of(expected, path), _stored_class(stored, source, theirs))
        found, reason, sizes = _pair(mine, other, of, kinds, in_order=in_order, but=but)
        unnamed = not any(r.slot_of for r in other)
        if found and unnamed and thawed(mine, expected, stored, of):
            found, reason = (
                {},
                "different layers are trainable than when it was saved, and its slots are unnamed",
            )
        pairs |= {a: b for a, b in found.items() if a not in but}
        resized |= sizes
        if reason:
            reasons[path] = reason
    return State(pairs, reasons, frozenset(resized))


def _renamed(path: str, ours: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    """The only stored optimizer that no other takes, where the model has just one to give it to."""
    alone = [p for p in ours if p not in theirs and "/" not in p]
    left = [p for p in theirs if p not in ours and "/" not in p]
    return left[0] if alone == [path] and len(left) == 1 else path


def _elsewhere(key: str, layers: Mapping[str, str]) -> str:
    """The stored key of a variable that is not stored as itself, whose layer may have moved."""
    owner = key
    while owner:
        if owner in layers:
            return layers[owner] + key[len(owner) :]
        owner = owner.rpartition("/")[0]
    return key


def _pair(
    mine: list[TensorRecord],
    other: list[TensorRecord],
    weights: Callable[[str], str],
    classes: tuple[str, str],
    *,
    in_order: bool,
    but: Container[str],
) -> tuple[dict[str, str], str, frozenset[str]]:
    """Pair the state of one optimizer.

    Args:
        mine: the model's tensors.
        other: the stored ones.
        weights: gives the stored weight of an expected weight.
        classes: of the model's optimizer and of the stored one, empty where unknown.
        in_order: as for `pair_optimizers`.
        but: likewise.

    Returns:
        Pairs, the reason why there are none, and the tensors whose weight has another shape.
    """
    if "" not in classes and classes[0] != classes[1]:
        both = " and ".join(sorted(classes))
        return {}, f"it belongs to another optimizer class ({both})", frozenset()
    slots, alike = any(r.slot_of for r in mine), classes[0] == classes[1] != ""
    if any(r.slot_of for r in other) and (slots or alike):
        if _ambiguous(mine) or _ambiguous(other):
            return *by_position(mine, other, in_order=in_order, but=but), frozenset()
        return by_slot([r for r in mine if r.key not in but], other, weights)
    if is_classic(other):
        blocks = in_blocks(classes[0], mine, other) if in_order else None
        reason = f"its slots are unnamed and not in the order that {classes[0]} wrote them"
        return (blocks, "", frozenset()) if blocks is not None else ({}, reason, frozenset())
    if alike and not slots and len(other) > len(mine):
        return *without_slots(mine, other), frozenset()
    if slots and never_built(other):
        return counted(mine, other), "", frozenset()
    return *by_position(mine, other, in_order=in_order, but=but), frozenset()


def _ambiguous(records: Sequence[TensorRecord]) -> bool:
    """Whether two tensors have the same identity, as in manifests before 0.2.

    These did not tell which variable a slot belonged to where a layer stored it in a form of its
    own, nor the variables of a wrapper from those of the optimizer inside.
    """
    return max(Counter((r.slot or r.variable, r.slot_of) for r in records).values()) > 1


def _stored_class(stored: Table, path: str, groups: Container[str]) -> str:
    """The class of a stored optimizer; a config tells what `compile` was given.

    Under mixed_float16 Keras puts a LossScaleOptimizer around that, which the file shows.
    """
    wrapped = f"{path}/{_INNER}" in groups
    return _WRAPPER if wrapped else _class_of(stored, path)


def _class_of(table: Table, path: str) -> str:
    """The optimizer's class, spelt alike everywhere; empty where nothing tells it.

    A name tells it only if it is one that Keras makes up, `adam_1` or `RMSprop`.
    """
    layer: LayerRecord | None = table.layers.get(path)
    if layer is None:
        return ""
    if layer.class_name:
        return layer.class_name.replace("_", "").lower()
    name = re.sub(r"_[0-9]+$", "", layer.name).replace("_", "").lower()
    return name if name in _CLASSES else ""
