"""KG445: images are resized by a method that Keras 3 does not have.

What it looks like: `"interpolation": "gaussian"` or `"mitchellcubic"` on a Resizing or
UpSampling2D layer. The model loads, and its first call fails: `Invalid value for argument
interpolation`.

Why it happens: Keras 2 passed the name on to `tf.image.resize`, Keras 3 has a list of its own.

Source: tf.keras 2.15 `layers/preprocessing/image_preprocessing.py`, `backend.resize_images`; Keras
3 `ops/image.py`.

When it is exact: never; no layer of Keras 3 computes these, so the model is refused. A class that
the caller supplies can: `custom_objects={"Resizing": ...}`.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG445": "images are resized by a method that Keras 3 does not have"}

_KNOWN = frozenset({"area", "bicubic", "bilinear", "lanczos3", "lanczos5", "nearest"})


def rewrite(blueprint: Blueprint) -> None:
    """Refuse what would fail when the model is called."""
    for item in blueprint.layers("Resizing", "UpSampling2D"):
        method = str(config_of(item).get("interpolation", "bilinear")).lower()
        if method not in _KNOWN and not blueprint.is_known(str(item["class_name"])):
            blueprint.refuse(
                item,
                f"Keras 3 does not resize with the interpolation {method!r}; supply a layer that "
                f'does: custom_objects={{"{item["class_name"]}": {item["class_name"]}}}',
            )


MIGRATION = Migration(
    "KG445",
    "tf.keras 2.3 to 2.15",
    lambda w: w.before_keras3,
    rewrite,
    words=("Resizing", "UpSampling2D"),
)
