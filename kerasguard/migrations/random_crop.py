"""KG449: a random crop that resizes before it crops at inference.

What it looks like: `RandomCrop` in a file of TensorFlow 2.3 to 2.6. Nothing fails: the model loads
but predicts differently.

Why it happens: at inference these versions resized the image until it covered the crop, and cut out
its middle; later ones, and Keras 3, cut the image first and resize what is left.

Source: Keras 2.6 and 2.7 `layers/preprocessing/image_preprocessing.py`, `RandomCrop.call`.

When it is exact: where the size of the image is known: a Resizing and a Cropping2D do the same. It
is refused where the size is unknown. A warning says that training loses the randomness.
"""

from __future__ import annotations

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.nodes import layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.shapes import Shape, with_input_shapes
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.blueprint.writer import Writer

CODES = {"KG449": "a random crop resizes before it crops at inference"}


def rewrite(blueprint: Blueprint) -> None:
    """Two layers in place of each such crop."""
    for _, model in blueprint.models():
        found = [layer for layer in layers_of(model) if class_of(layer) == "RandomCrop"]
        crops = [layer for layer in found if not blueprint.is_known(str(layer["class_name"]))]
        if not crops:
            continue
        edits = Edits(model)
        for layer, shape in with_input_shapes(model, crops):
            _crop(blueprint, edits, layer, shape)


def _crop(blueprint: Blueprint, edits: Edits, layer: Json, shape: Shape | None) -> None:
    config = config_of(layer)
    wanted = config["height"], config["width"]
    if shape is None or len(shape) != 4 or None in shape[1:3]:
        blueprint.refuse(
            layer,
            "this RandomCrop resizes an image of open size before it crops, which no layer of "
            'Keras 3 does; supply one: custom_objects={"RandomCrop": RandomCrop}',
        )
        return
    size = _covering((shape[1], shape[2]), wanted)
    kept = {k: v for k, v in config.items() if k in ("name", "trainable", "dtype")}
    options = {**kept, "height": size[0], "width": size[1], "interpolation": "bilinear"}
    layer.update(keras_object("keras.layers", "Resizing", options))
    if size != wanted:
        name = edits.free_name(f"{name_of(layer)}_middle")
        edges = [[(s - w) // 2, s - w - (s - w) // 2] for s, w in zip(size, wanted, strict=True)]
        cropping = {"name": name, "cropping": edges, "data_format": "channels_last"}
        edits.after(layer, keras_object("keras.layers", "Cropping2D", cropping))
    blueprint.warn(layer, "RandomCrop is random in training only; Resizing and Cropping2D are not")


def _covering(have: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """The smallest size of the image's proportions that covers what is wanted."""
    if have[0] / have[1] > wanted[0] / wanted[1]:
        return int(wanted[1] * have[0] / have[1]), wanted[1]
    return wanted[0], int(wanted[0] * have[1] / have[0])


def _resizes_first(writer: Writer) -> bool:
    version = writer.tensorflow or writer.keras
    return writer.before_keras3 and (version < (2, 7) if len(version) > 1 else True)


MIGRATION = Migration(
    "KG449", "TensorFlow 2.3 to 2.6", _resizes_first, rewrite, words=("RandomCrop",)
)
