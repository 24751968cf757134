"""Names of variables that a stored config tells and a weights file does not.

Keras 3 numbers a layer's variables in its file. Where options switch variables of one shape on and
off, numbers do not say which is which: a normalisation without scale and one without offset both
store as many vectors. The layer's config does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kerasguard.blueprint.architecture import layer_configs
from kerasguard.tensors import TensorRecord

__all__ = ["with_names"]

# By class, its variables in the order in which they are made, and the option each depends on.
_NORMALISED = (("gamma", "scale"), ("beta", "center"))
_AFFINE = (("kernel", ""), ("bias", "use_bias"))
_SEPARATE = (("depthwise_kernel", ""), ("pointwise_kernel", ""), ("bias", "use_bias"))
_VARIABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "BatchNormalization": (*_NORMALISED, ("moving_mean", ""), ("moving_variance", "")),
    "GroupNormalization": _NORMALISED,
    "LayerNormalization": _NORMALISED,
}
# Numbers tell these, too; whoever reads arrays wants names.
_PLAIN: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D"), _AFFINE),
    **dict.fromkeys(("DepthwiseConv1D", "Conv1DTranspose", "Conv2DTranspose"), _AFFINE),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARATE),
    "Conv3DTranspose": _AFFINE,
    "EinsumDense": (("kernel", ""), ("bias", "bias_axes")),
    "Embedding": (("embeddings", ""),),
}


def with_names(
    records: Mapping[str, TensorRecord], architecture: Mapping[str, Any], *, plain: bool = False
) -> dict[str, TensorRecord]:
    """The records, with the variables' names where the config tells them.

    Args:
        records: of the file's tensors, by key.
        architecture: the model's stored config.
        plain: whether kernels and biases are named, too.
    """
    result = dict(records)
    variables = {**_PLAIN, **_VARIABLES} if plain else _VARIABLES
    for key, class_name, config in layer_configs(architecture):
        known = variables.get(class_name, ())
        names = [name for name, option in known if not option or config.get(option, True)]
        own = [f"{key}/vars/{index}" for index in range(len(names))]
        if not all(k in records for k in own) or f"{key}/vars/{len(own)}" in records:
            continue  # another version's layer: it has variables that are not known here
        for k, name in zip(own, names, strict=True):
            owner = records[k].name.rpartition("/")[0]
            result[k] = replace(records[k], variable=name, name=f"{owner}/{name}")
    return result
