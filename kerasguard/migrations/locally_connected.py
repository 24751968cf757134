"""KG426: LocallyConnected1D and LocallyConnected2D.

What it looks like: layers of these classes: `Unknown layer: 'LocallyConnected2D'`.

Why it happens: Keras 3 removed them.

Source: Keras 2 `layers/locally_connected/`; Keras 3 `ops.image.extract_patches`,
`layers/core/einsum_dense.py`.

When it is exact: with channels last. A locally connected layer is a dense layer of its own at
every place: patches are taken, and an EinsumDense (under the old name, so that it gets the
weights) multiplies each with its own kernel. Kernels of `implementation=1` only need another
shape; those of the other implementations hold the same numbers in other places.
"""

from __future__ import annotations

from kerasguard.blueprint.graphs import as_graph
from kerasguard.blueprint.nodes import free_name, insert_after, insert_before, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG426": "a locally connected layer, which Keras 3 does not have"}

_CLASSES = ("LocallyConnected1D", "LocallyConnected2D")
_DENSE = (
    "name",
    "trainable",
    "dtype",
    "activation",
    "kernel_initializer",
    "kernel_regularizer",
    "kernel_constraint",
    "bias_initializer",
    "bias_regularizer",
    "bias_constraint",
    "activity_regularizer",
)


def rewrite(blueprint: Blueprint) -> None:
    """Patches and an EinsumDense for every such layer."""
    for item, model in blueprint.models():
        found = [layer for layer in layers_of(model) if class_of(layer) in _CLASSES]
        for layer in found:
            if config_of(layer).get("data_format") == "channels_first":
                blueprint.refuse(layer, f"{class_of(layer)} with channels first is not in Keras 3")
            elif not as_graph(item):
                blueprint.refuse(layer, f"{class_of(layer)} in a model of unknown input shape")
            else:
                _replace(blueprint, model, layer)


def _replace(blueprint: Blueprint, model: Json, layer: Json) -> None:
    old, config, name = class_of(layer), config_of(layer), name_of(layer)
    plane = old == "LocallyConnected2D"
    size, strides = _pair(config["kernel_size"]), _pair(config.get("strides", 1))
    options = {
        "size": size,
        "strides": strides,
        "padding": config.get("padding", "valid"),
        "data_format": "channels_last",
    }
    dense = {key: config[key] for key in _DENSE if key in config}
    dense["equation"] = "bhwk,hwkf->bhwf" if plane else "blk,lkf->blf"
    dense["output_shape"] = [None] * (1 + plane) + [config["filters"]]
    dense["bias_axes"] = ("hwf" if plane else "lf") if config.get("use_bias", True) else None
    layer.update(keras_object("keras.layers", "EinsumDense", dense))
    layer.pop("build_config", None)
    patches = _operation(model, "image", "ExtractPatches", name, options)
    insert_before(model, layer, patches)
    if not plane:
        insert_before(model, patches, _operation(model, "numpy", "ExpandDims", name, {"axis": 2}))
        insert_after(model, patches, _operation(model, "numpy", "Squeeze", name, {"axis": 2}))
    blueprint.note(layer, f"{old} is computed by patches and an EinsumDense")


def _pair(value: int | list[int]) -> list[int]:
    """Two sizes; a line is a plane of width one."""
    sizes = value if isinstance(value, list) else [value]
    return [*sizes, 1] if len(sizes) == 1 else sizes


def _operation(model: Json, module: str, class_name: str, owner: str, options: Json) -> Json:
    name = free_name(model, f"{owner}_{class_name.lower()}")
    item = keras_object(f"keras.src.ops.{module}", class_name, {"name": name, **options})
    return {**item, "registered_name": class_name}


MIGRATION = Migration("KG426", "before Keras 3", lambda w: w.before_keras3, rewrite)
