"""KG404: the argument names of Keras 1.

What it looks like: `nb_filter`, `nb_row`, `output_dim`, `subsample`, `border_mode`,
`dim_ordering`, `init`, `inner_init`, `W_regularizer`, `U_regularizer`, `b_constraint`, `p`, ...

Why it happens: Keras 2.0 (March 2017) renamed nearly every argument; Keras 2 converted calls, but
tf.keras and Keras 3 know only the new names.

Source: Keras 2.0 release notes; Keras 2 `legacy/interfaces.py`.

When it is exact: for every argument in the tables here. Cropping, padding and upsampling layers,
which did not write their order of axes, get that of the other layers; if these differ, or Theano if
there are none, the architecture is refused. Options without a successor that change the result
(`mode=1` of BatchNormalization) are refused.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.objects import Json, class_of, config_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG404": "arguments have their Keras 1 names"}

_WEIGHTED = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "init": "kernel_initializer",
}
_CONVOLUTION = {
    **_WEIGHTED,
    "atrous_rate": "dilation_rate",
    "border_mode": "padding",
    "filter_length": "kernel_size",
    "nb_filter": "filters",
    "subsample": "strides",
    "subsample_length": "strides",
}
_RECURRENT = {
    **_WEIGHTED,
    "U_constraint": "recurrent_constraint",
    "U_regularizer": "recurrent_regularizer",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "output_dim": "units",
}
_POOLING = {"border_mode": "padding", "pool_length": "pool_size", "stride": "strides"}
_EMBEDDING = {
    "W_constraint": "embeddings_constraint",
    "W_regularizer": "embeddings_regularizer",
    "init": "embeddings_initializer",
}
_RENAMED: dict[str, dict[str, str]] = {
    "AveragePooling1D": _POOLING,
    "AveragePooling2D": _POOLING,
    "AveragePooling3D": _POOLING,
    "Conv1D": _CONVOLUTION,
    "Conv2D": _CONVOLUTION,
    "Conv2DTranspose": _CONVOLUTION,
    "Conv3D": _CONVOLUTION,
    "ConvLSTM2D": {**_CONVOLUTION, **_RECURRENT},
    "Dense": {**_WEIGHTED, "output_dim": "units"},
    "Dropout": {"p": "rate"},
    "Embedding": _EMBEDDING,
    "GRU": _RECURRENT,
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "LSTM": _RECURRENT,
    "LocallyConnected1D": _CONVOLUTION,
    "LocallyConnected2D": _CONVOLUTION,
    "MaxPooling1D": _POOLING,
    "MaxPooling2D": _POOLING,
    "MaxPooling3D": _POOLING,
    "PReLU": {"init": "alpha_initializer"},
    "SeparableConv2D": {**_CONVOLUTION, "init": "depthwise_initializer"},
    "SimpleRNN": _RECURRENT,
    "SpatialDropout1D": {"p": "rate"},
    "SpatialDropout2D": {"p": "rate"},
    "SpatialDropout3D": {"p": "rate"},
    "UpSampling1D": {"length": "size"},
}
_KERNELS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
_FORMATS = {"tf": "channels_last", "th": "channels_first"}


# Keras 1 did not write the order of the axes into the configs of these.
_UNTOLD = {
    f"{name}{rank}D" for name in ("Cropping", "UpSampling", "ZeroPadding") for rank in (2, 3)
}


def rewrite(blueprint: Blueprint) -> None:
    """Rename what Keras 2 renamed, layer by layer."""
    if blueprint.writer.is_keras1:
        _tell_orderings(blueprint)
    for item in blueprint.layers():
        config, kind = config_of(item), class_of(item)
        if kind == "TimeDistributedDense":
            item["class_name"] = kind = "Dense"
        before = set(config)
        _rename(config, _RENAMED.get(kind, {}))
        _kernel(config)
        if "dim_ordering" in config:
            config["data_format"] = _data_format(blueprint, config.pop("dim_ordering"))
        if kind == "InputLayer" and "input_dtype" in config:
            config.setdefault("dtype", config.pop("input_dtype"))
        _single_layers(blueprint, item, config)
        renamed = sorted(before - set(config))
        if renamed:
            blueprint.note(item, f"{kind} had Keras 1's arguments {', '.join(renamed)}")


def _tell_orderings(blueprint: Blueprint) -> None:
    """Layers that do not say their order of axes have that of all others."""
    untold = [x for x in blueprint.layers(*_UNTOLD) if "dim_ordering" not in config_of(x)]
    told = {str(config_of(x).get("dim_ordering")) for x in blueprint.layers()} & set(_FORMATS)
    if len(told) == 1:
        for item in untold:
            config_of(item)["dim_ordering"] = next(iter(told))
    elif untold and (told or blueprint.writer.backend != "tensorflow"):
        names = ", ".join(sorted(map(name_of, untold)))
        blueprint.refuse(
            "",
            f"{names}: Keras 1 did not write whether these have channels first, and no other "
            'layer shows it; add "dim_ordering" to their configs',
        )


def _rename(config: Json, names: dict[str, str]) -> None:
    for old, new in names.items():
        if old in config:
            value = config.pop(old)
            config.setdefault(new, value)


def _kernel(config: Json) -> None:
    """One `kernel_size` where Keras 1 had an argument for each axis."""
    for names in _KERNELS:
        if all(name in config for name in names):
            config["kernel_size"] = [config.pop(name) for name in names]


def _data_format(blueprint: Blueprint, ordering: str) -> str:
    default = "channels_first" if blueprint.writer.backend == "theano" else "channels_last"
    return _FORMATS.get(ordering, default)


def _single_layers(blueprint: Blueprint, item: Json, config: Json) -> None:
    """What only one kind of layer had."""
    kind = class_of(item)
    if "forget_bias_init" in config:
        config["unit_forget_bias"] = config.pop("forget_bias_init") in ("one", "ones")
    if kind == "BatchNormalization":
        mode = config.pop("mode", 0)
        if mode == 1:
            blueprint.refuse(
                item, "normalises every sample by itself (mode=1), which no layer of Keras 3 does"
            )
        elif mode == 2:
            config["batch_statistics"] = True
    if kind == "Embedding" and "embeddings_initializer" in config:
        config.pop("dropout", None)
    if kind == "Conv2DTranspose":
        _output_shape(blueprint, item, config)
    if kind == "SeparableConv2D":
        _rename(config, {"kernel_regularizer": "depthwise_regularizer"})
    if config.get("padding") == "half":
        _half(blueprint, item, config)
    if kind in ("ZeroPadding2D", "ZeroPadding3D"):
        config["padding"] = _padding(config.get("padding"))


def _output_shape(blueprint: Blueprint, item: Json, config: Json) -> None:
    """The output's size, which Keras 1 was told, as what Keras 3 adds to its own formula.

    The input's size follows from it: it is what the convolution makes of such an output.
    """
    shape, kernel = config.pop("output_shape", None), config.get("kernel_size")
    if not isinstance(shape, list) or len(shape) != 4 or not isinstance(kernel, list):
        return
    sizes = shape[2:] if config.get("data_format") == "channels_first" else shape[1:3]
    strides, same = config.get("strides") or [1, 1], config.get("padding") == "same"
    added, usual = [], []
    for size, k, stride in zip(sizes, kernel, strides, strict=True):
        if not isinstance(size, int):
            return
        steps = -(-size // stride) if same else (size - k) // stride + 1
        added.append(size - (steps - 1) * stride - k + 2 * (k // 2 if same else 0))
        usual.append(size == steps * stride + (0 if same else max(k - stride, 0)))
    if all(usual):
        return
    if any(not 0 <= more < stride for more, stride in zip(added, strides, strict=True)):
        blueprint.refuse(item, f"Keras 3 cannot produce an output of size {sizes}")
    config["output_padding"] = added
    blueprint.note(item, f"its output of size {sizes} needs output_padding={added}")


def _half(blueprint: Blueprint, item: Json, config: Json) -> None:
    """Half a kernel of zeros on both sides, which is `same` for odd kernels."""
    sizes = config.get("kernel_size")
    odd = all(size % 2 for size in (sizes if isinstance(sizes, list) else [sizes or 0]))
    if odd:
        config["padding"] = "same"
    else:
        blueprint.refuse(item, "padding 'half' of an even kernel exists only with Theano")


def _padding(padding: Any) -> Any:
    """Four numbers or names in Keras 1.2 are two pairs today."""
    if isinstance(padding, dict):
        padding = [padding.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
    if isinstance(padding, list) and len(padding) == 4:
        return [padding[:2], padding[2:]]
    return padding


MIGRATION = Migration("KG404", "Keras 1", lambda w: w.before_keras3, rewrite)
