"""KG414: an `axis` that is a list.

What it looks like: `"axis": [3]` on BatchNormalization: `int() argument must be ... not 'list'`;
or `"axis": [1, 2]` on Softmax, LayerNormalization, UnitNormalization, Normalization.

Why it happens: tf.keras BatchNormalization wrote its axis as a list. Keras 3 unpacks it in HDF5
files only, outside wrappers only, and drops every longer list there, so that a Softmax over two
axes silently becomes one over the last.

Source: https://github.com/keras-team/keras/issues/11980; Keras 3 `legacy/saving/saving_utils.py`.

When it is exact: a list of one is its element; longer lists are kept, because the layer is built
from its own config and not by the reader that drops them. BatchNormalization over several axes
or with a virtual batch size is refused: Keras 3 has none.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG414": "an axis is written as a list"}


def rewrite(blueprint: Blueprint) -> None:
    """Unpack lists of one; keep the others."""
    for item in blueprint.layers():
        config = config_of(item)
        axis = config.get("axis")
        if not isinstance(axis, list) or "axis" not in config:
            continue
        if class_of(item) == "BatchNormalization" and config.get("virtual_batch_size"):
            blueprint.refuse(item, "BatchNormalization with a virtual_batch_size is not in Keras 3")
        elif class_of(item) == "BatchNormalization" and len(axis) > 1:
            blueprint.refuse(item, f"BatchNormalization over the axes {axis} is not in Keras 3")
        elif len(axis) == 1 and not blueprint.is_known(str(item["class_name"])):
            config["axis"] = axis[0]
            if blueprint.writer.before_keras3:  # Keras 3 writes such lists itself
                blueprint.note(item, f"axis {axis} is {axis[0]}")


MIGRATION = Migration("KG414", "all", lambda _: True, rewrite, words=("axis",))
