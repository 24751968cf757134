"""Name-based TensorFlow checkpoints (`tf.train.Saver`): nothing but variables by name is known."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kerasguard.formats.optimizer_slots import optimizer_layer
from kerasguard.formats.tensorflow.tensor_bundle import Bundle
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec

__all__ = ["saver_table"]

# What TensorFlow 1's optimizers append to a variable's name for their slots.
_SLOT = re.compile(
    r"(Adam|Adagrad|Adadelta|Momentum|RMSProp|Ftrl|Lamb|AdaMax|Nadam|AdamW|adam_[mv]|sgd|m|v|vhat"
    r"|rms|mg|momentum|accumulator|accum_grad|accum_var)(_\d+)?"
)
_AVERAGE = "ExponentialMovingAverage"
_OPTIMIZER = re.compile(
    r"(.*/)?(beta[12]_power(_\d+)?|(iter|iterations|decay|learning_rate|beta_[12]|rho)(_\d+)?)"
)
_STATE = re.compile(r"(.*/)?(global_step|save_counter)(_\d+)?")
# Scopes inside a layer: a cell, and what Bidirectional calls its two copies.
_INSIDE = re.compile(r"(\w*_)?cell(_\d+)?|(forward|backward)_\w+")


def saver_table(bundle: Bundle) -> Table:
    """The table of a name-based checkpoint; a layer's key is the scope of its variables."""
    specs = {name: spec for name in bundle.entries if (spec := bundle.spec(name)) is not None}
    records = [_record(bundle, name, specs) for name in specs]
    layers = {r.layer: LayerRecord(r.layer, r.layer.rsplit("/", 1)[-1]) for r in records if r.layer}
    if (optimizer := optimizer_layer(records)) is not None:
        layers.setdefault("optimizer", optimizer)
    records.sort(key=lambda record: record.role != "weight")
    return Table({r.key: r for r in records}, layers, "name")


def _record(bundle: Bundle, name: str, specs: Mapping[str, TensorSpec]) -> TensorRecord:
    spec, extent = specs[name], bundle.extent(name)
    around, _, leaf = name.rpartition("/")
    if _STATE.fullmatch(name) or leaf == _AVERAGE:
        return TensorRecord(name, spec, name, leaf, role="state", extent=extent)
    slot, weight = _slot(name, specs)
    if weight or _OPTIMIZER.fullmatch(name):
        return TensorRecord(
            name, spec, name, leaf, role="optimizer", extent=extent, slot=slot, slot_of=weight
        )
    scopes = around.split("/")
    while len(scopes) > 1 and _INSIDE.fullmatch(scopes[-1]):
        scopes.pop()
    return TensorRecord(name, spec, name, leaf, "/".join(scopes), extent=extent)


def _slot(name: str, specs: Mapping[str, TensorSpec]) -> tuple[str, str]:
    """Slot and weight: of `dense/kernel/Adam`, or of `training/Adam/dense/kernel/m`."""
    parts = name.split("/")
    if len(parts) < 2 or not _SLOT.fullmatch(parts[-1]):
        return "", ""
    for start in range(len(parts) - 1):
        weight = "/".join(parts[start:-1])
        if weight in specs:
            return parts[-1], weight
    return "", ""
