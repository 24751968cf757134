"""KG425: objects without the module that Keras 3 looks for, and unknown classes.

What it looks like: inner layers of Bidirectional, TimeDistributed and RNN without `module`: `Could
not locate class 'GRU'`; `"module": "keras.src.engine.functional"`, which cannot be imported;
user-defined layers: `Unknown layer: 'ConvDNA'`.

Why it happens: HDF5 files and SavedModels of every Keras have no modules, and Keras 3 reads them
with a reader of its own that does not reach into wrappers, drops `axis` lists, and takes strings
for functions. With modules, the reader of `.keras` files does the work.

Source: https://github.com/keras-team/keras/issues/19898, /19089; Keras 3
`saving/serialization_lib.py`.

When it is exact: always for Keras' own classes. Other classes are used if the caller supplies them;
all missing ones are listed at once, with the call to write.
"""

from __future__ import annotations

from collections import Counter

from kerasguard.blueprint.architecture import EXPORTED
from kerasguard.blueprint.keras3 import LAYERS
from kerasguard.blueprint.keras3_parts import ACTIVATIONS
from kerasguard.blueprint.objects import (
    Json,
    class_of,
    config_of,
    keras_object,
    short_name,
)
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.blueprint.writer import Writer
from kerasguard.errors import listed

CODES = {"KG425": "a class without a module, or one that the caller must supply"}

_FUNCTIONAL = "keras.src.models.functional"
# Layers of Keras' own that it does not offer, with what their configs hold of their own.
_APPLICATIONS = {
    "CustomScaleLayer": ("inception_resnet_v2", {"scale"}),
    "LayerScale": ("convnext", {"init_values", "projection_dim"}),
    "StochasticDepth": ("convnext", {"drop_path_rate"}),
}
_OFFERED = {own: offered for offered, own in EXPORTED.items()}
_EVERY_LAYER = {"name", "trainable", "dtype"}
_GRAPH = ("name", "trainable", "layers", "input_layers", "output_layers")


def _has_modules(writer: Writer) -> bool:
    """Whether it is a `.keras` file of Keras 3, which needs no change."""
    return not writer.before_keras3 and writer.config == "keras3"


def rewrite(blueprint: Blueprint) -> None:
    """Say where each class comes from; list those that nobody supplies."""
    layers = list(blueprint.layers())
    shared = Counter(x["shared_object_id"] for x in layers if "shared_object_id" in x)
    for item in layers:
        if _has_modules(blueprint.writer):
            _check(blueprint, item)
            continue
        if shared[item.get("shared_object_id")] < 2:
            item.pop("shared_object_id", None)
        _place(blueprint, item)
    shown = len(blueprint.missing) == 1 and blueprint.missing.keys() == blueprint.offers.keys()
    if blueprint.missing and not shown:
        _ask(blueprint)


def _place(blueprint: Blueprint, item: Json) -> None:
    kind = _OFFERED.get(class_of(item), class_of(item))
    supplied = blueprint.supplied(str(item["class_name"]))
    if supplied is None and isinstance(item.get("registered_name"), str):
        supplied = blueprint.supplied(item["registered_name"])
    if supplied is not None:
        item.update(module=None, class_name=supplied, registered_name=supplied)
    elif kind == "Functional":
        item.update(module=_FUNCTIONAL, class_name=kind, registered_name=kind)
        # Keras 3 gives every other entry to the constructor.
        item["config"] = {k: v for k, v in config_of(item).items() if k in _GRAPH}
        item.pop("build_config", None)
    elif kind == "Sequential" or kind in LAYERS:
        module = "keras" if kind == "Sequential" else "keras.layers"
        item.update(keras_object(module, kind, config_of(item)))
        item.pop("build_config", None)
    elif kind in _APPLICATIONS and config_of(item).keys() <= _EVERY_LAYER | _APPLICATIONS[kind][1]:
        module = f"keras.src.applications.{_APPLICATIONS[kind][0]}"
        item.update(keras_object(module, kind, config_of(item)))
        item.pop("build_config", None)
    elif not kind.startswith("ops.") and not blueprint.is_refused(item):
        blueprint.need(str(item.get("registered_name") or item["class_name"]), item)


def _check(blueprint: Blueprint, item: Json) -> None:
    """Ask for a class without a module of Keras, and for functions that are not activations."""
    registered = str(item.get("registered_name") or item["class_name"])
    module = str(item.get("module") or "")
    if not module.startswith("keras") and not blueprint.is_known(registered):
        blueprint.need(registered, item, module)
    for key, value in config_of(item).items():
        if key.endswith("activation") and isinstance(value, dict):
            name = value.get("config")
            if value.get("class_name") != "function" or not isinstance(name, str):
                continue
            if name not in ACTIVATIONS and not _is_supplied(blueprint, name):
                blueprint.need(name, item, str(value.get("module") or ""))


def _is_supplied(blueprint: Blueprint, name: str) -> bool:
    """As Keras 3 looks names up: with their package, or functions of old files without it."""
    return any(name == known or short_name(name) == short_name(known) for known in blueprint.known)


def _ask(blueprint: Blueprint) -> None:
    """One finding for all names, with the call to write."""
    names = sorted(blueprint.missing)
    places = ((n, listed(sorted(set(blueprint.missing[n])), 3)) for n in names)
    used = "; ".join(f"{name} in {where}" for name, where in places)
    told = ((n, blueprint.offers.get(n, n.rpartition(">")[2])) for n in names)
    entries = ", ".join(f'"{name}": {value}' for name, value in told)
    blueprint.refuse("", f"not part of Keras 3: {used}. Supply them: custom_objects={{{entries}}}")


MIGRATION = Migration("KG425", "all", lambda _: True, rewrite)
