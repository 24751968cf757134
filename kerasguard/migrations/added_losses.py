"""KG438: losses and metrics that were added inside a functional model.

What it looks like: layers of class `AddLoss` or `AddMetric`, fed by layers that nothing else uses:
`Unknown layer: 'AddLoss'`.

Why it happens: tf.keras' `model.add_loss(expression)` (most variational autoencoders) put the
expression into the graph. Keras 3 has no such layers.

Source: tf.keras `engine/base_layer.py`, `AddLoss`; Keras 3 migration guide.

When it is exact: for predictions always, because nothing follows these layers. A warning says that
training loses the added loss.
"""

from __future__ import annotations

from kerasguard.blueprint.graphs import remove_unused
from kerasguard.blueprint.nodes import layers_of
from kerasguard.blueprint.objects import class_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG438": "a loss or metric was added inside the model"}

_ADDED = {"AddLoss", "AddMetric"}
_WITHOUT_WEIGHTS = {
    "Add",
    "Lambda",
    "Multiply",
    "SlicingOpLambda",
    "Subtract",
    "TFOpLambda",
    "TensorFlowOpLayer",
}


def rewrite(blueprint: Blueprint) -> None:
    """Take them out, with the operations that only they used."""
    for _, model in blueprint.graphs():
        added = [layer for layer in layers_of(model) if class_of(layer) in _ADDED]
        if not added:
            continue
        gone = {id(layer) for layer in added}
        model["layers"][:] = [layer for layer in layers_of(model) if id(layer) not in gone]
        for layer in added:
            blueprint.warn(layer, f"{class_of(layer)} affects training only and was dropped")
        remove_unused(
            model, {name_of(x) for x in layers_of(model) if class_of(x) in _WITHOUT_WEIGHTS}
        )


MIGRATION = Migration(
    "KG438",
    "TensorFlow 2.0 to 2.15",
    lambda w: w.before_keras3,
    rewrite,
    words=("AddLoss", "AddMetric"),
)
