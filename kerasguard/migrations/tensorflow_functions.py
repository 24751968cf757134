"""KG419: TensorFlow functions called on Keras tensors.

What it looks like: layers of class `TFOpLambda` (`"function": "math.reduce_mean"`) and
`SlicingOpLambda`: `Unknown layer: 'TFOpLambda'`.

Why it happens: TensorFlow 2.4 to 2.15 made such a layer of every TensorFlow function, operator or
slice that was applied to a Keras tensor. Keras 3 has operations of its own instead.

Source: tf.keras `layers/core/tf_op_layer.py`; Keras 3 `ops/`.

When it is exact: for the functions and arguments in the table of `blueprint/operations.py` and
those of its neighbours for axes, images and special cases. Any other function, or a known one with
an option that Keras lacks, is refused by name.
"""

from __future__ import annotations

from kerasguard.blueprint.computations import Unsupported, install, plan
from kerasguard.blueprint.nodes import calls_of, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of
from kerasguard.blueprint.shapes import rank_in
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG419": "a TensorFlow function is a layer of the model"}

_CLASSES = {"SlicingOpLambda", "TFOpLambda"}


def rewrite(blueprint: Blueprint) -> None:
    """Replace every such layer by the operation that computes it."""
    for _, model in blueprint.graphs():
        for layer in [x for x in layers_of(model) if class_of(x) in _CLASSES]:
            function = str(config_of(layer).get("function"))
            try:
                _replace(model, layer, function)
            except Unsupported as reason:
                blueprint.refuse(layer, f"the TensorFlow function {reason}")
            else:
                blueprint.note(
                    layer, f"the TensorFlow function {function} became a Keras 3 operation"
                )


def _replace(model: Json, layer: Json, function: str) -> None:
    if not calls_of(layer):
        raise Unsupported(f"{function} is never called")
    rank = rank_in(model)
    plans = [plan(function, call["args"][0], call["kwargs"], rank) for call in calls_of(layer)]
    install(model, layer, plans)


MIGRATION = Migration(
    "KG419", "TensorFlow 2.4 to 2.15", lambda w: w.before_keras3, rewrite, words=("OpLambda",)
)
