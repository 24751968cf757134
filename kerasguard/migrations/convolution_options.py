"""KG413: options that convolutions inherited but never used.

What it looks like: `groups=1` on DepthwiseConv, Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
and SeparableConv; `kernel_initializer`, `kernel_regularizer`, `kernel_constraint` on SeparableConv:
`Unrecognized keyword arguments passed to DepthwiseConv2D: {'groups': 1}`.

Why it happens: in tf.keras 2.x these layers wrote what their base class wrote.

Source: https://github.com/keras-team/keras/issues/19151; tf.keras `layers/convolutional.py`.

When it is exact: `groups=1` means no grouping. The kernel options of a separable convolution were
never used. `groups` other than 1 on a layer that Keras 3 has no groups for is refused.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG413": "a convolution has options that had no effect"}

_UNGROUPED = (
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
)
_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")


def rewrite(blueprint: Blueprint) -> None:
    """Drop what was never used."""
    for item in blueprint.layers(*_UNGROUPED):
        config, told = config_of(item), []
        if "groups" in config:
            groups = config.pop("groups")
            if groups not in (None, 1):
                blueprint.refuse(item, f"{class_of(item)} with groups={groups} is not in Keras 3")
            told.append("groups=1")
        if class_of(item).startswith(("Separable", "Depthwise")):
            told += [key for key in _KERNEL if config.pop(key, key) != key]
        if class_of(item).startswith("Depthwise"):
            config.pop("filters", None)
        if told:
            blueprint.note(item, f"{', '.join(told)} had no effect")


MIGRATION = Migration(
    "KG413", "tf.keras 2.0 to 2.15", lambda w: w.before_keras3, rewrite, words=("Conv",)
)
