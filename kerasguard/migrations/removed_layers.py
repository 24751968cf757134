"""KG418: layers that Keras 3 removed and that another layer computes exactly.

What it looks like: `ThresholdedReLU`, tfa `InstanceNormalization`, `RandomHeight`, `RandomWidth`:
`Unknown layer: 'ThresholdedReLU'`.

Why it happens: Keras 3 dropped them; TensorFlow Addons ended with TensorFlow 2.15.

Source: Keras 2 `layers/advanced_activations.py`; TensorFlow Addons `layers/normalizations.py`;
Keras 3 `layers/normalization/group_normalization.py`.

When it is exact: ReLU with a threshold is x where x > theta and 0 elsewhere, as ThresholdedReLU.
InstanceNormalization is GroupNormalization with a group per channel; along a different axis than
the last or without an epsilon of its own it keeps those options; that of keras-contrib, which has
no `groups`, adds its epsilon in another place and is left to the caller. The random layers do
nothing at inference, so they become Identity, with a warning that training loses them.
"""

from __future__ import annotations

from collections.abc import Callable

from kerasguard.blueprint.objects import Json, class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG418": "a removed layer is replaced by an exact equivalent"}

_NORMALIZED = (
    "name",
    "trainable",
    "dtype",
    "axis",
    "epsilon",
    "center",
    "scale",
    "beta_initializer",
    "gamma_initializer",
    "beta_regularizer",
    "gamma_regularizer",
    "beta_constraint",
    "gamma_constraint",
)


def _thresholded_relu(config: Json) -> tuple[str, Json]:
    rest = {k: v for k, v in config.items() if k != "theta"}
    return "ReLU", {**rest, "threshold": config.get("theta", 1.0)}


def _instance_normalization(config: Json) -> tuple[str, Json]:
    rest = {k: v for k, v in config.items() if k in _NORMALIZED}
    rest["axis"] = -1 if rest.get("axis") is None else rest["axis"]
    rest.setdefault("epsilon", 1e-3)
    return "GroupNormalization", {**rest, "groups": -1}


def _identity(config: Json) -> tuple[str, Json]:
    return "Identity", {k: v for k, v in config.items() if k in ("name", "trainable", "dtype")}


def _resizing(config: Json) -> tuple[str, Json]:
    kept = {k: v for k, v in config.items() if k in ("name", "trainable", "dtype")}
    sizes = {"height": config["height"], "width": config["width"]}
    return "Resizing", {**kept, **sizes, "crop_to_aspect_ratio": True}


_SUCCESSORS: dict[str, Callable[[Json], tuple[str, Json]]] = {
    "InstanceNormalization": _instance_normalization,
    "RandomCrop": _resizing,
    "RandomHeight": _identity,
    "RandomWidth": _identity,
    "ThresholdedReLU": _thresholded_relu,
}


def rewrite(blueprint: Blueprint) -> None:
    """Use the layer that computes the same."""
    for item in blueprint.layers(*_SUCCESSORS):
        old = class_of(item)
        foreign = old == "InstanceNormalization" and "groups" not in config_of(item)
        if foreign or blueprint.is_known(str(item["class_name"])):
            continue
        item["class_name"], item["config"] = _SUCCESSORS[old](config_of(item))
        if old.startswith("Random"):
            blueprint.warn(item, f"{old} is random in training only; {item['class_name']} is not")
        else:
            blueprint.note(item, f"{old} is computed by {item['class_name']}")


MIGRATION = Migration(
    "KG418",
    "before Keras 3",
    lambda w: w.before_keras3,
    rewrite,
    words=("InstanceNormalization", "Random", "ThresholdedReLU"),
)
