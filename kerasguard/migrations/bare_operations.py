"""KG439: operations of Keras 3 in an HDF5 file, without their module.

What it looks like: `{"class_name": "Relu", "config": {"name": "relu"}}` in the config of a
functional model: `Unknown layer: 'Relu'`, from the Keras that wrote it.

Why it happens: Keras 3 writes no modules into HDF5 files, and its reader of these files looks
classes up among the layers only.

Source: Keras 3 `legacy/saving/serialization.py`, `models/functional.py`.

When it is exact: always. Operations and layers that share a name (Reshape, Add) differ in their
configs: every layer writes whether it is trainable.
"""

from __future__ import annotations

from kerasguard.blueprint.keras3_operations import OPERATIONS
from kerasguard.blueprint.nodes import layers_of
from kerasguard.blueprint.objects import class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG439": "a Keras 3 operation is stored without its module"}

_NO_OPERATIONS = {"Functional", "InputLayer", "Sequential"}


def rewrite(blueprint: Blueprint) -> None:
    """Say in which module each operation lives."""
    for _, model in blueprint.graphs():
        for item in layers_of(model):
            kind = class_of(item)
            if kind in _NO_OPERATIONS or "trainable" in config_of(item) or item.get("module"):
                continue
            if kind in OPERATIONS and not blueprint.is_known(kind):
                item.update(module=OPERATIONS[kind], registered_name=kind)
                blueprint.note(item, f"{kind} is an operation of {OPERATIONS[kind]}")


MIGRATION = Migration("KG439", "Keras 3", lambda w: not w.before_keras3, rewrite)
