"""From paths in a Keras 3 weights file to the keys that today's Keras would use, and a `Table`.

Keras 2.12 to 2.15 wrote the same layout under other names. They called the container of layers
`_layer_checkpoint_dependencies`; 2.12 met every layer with weights there twice and numbered it
`dense`, `dense_2`, `dense_4`; on Windows, some joined the parts of a path by backslashes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from kerasguard.blueprint.architecture import layer_configs, layer_records, unique_name
from kerasguard.errors import ArchitectureError
from kerasguard.formats.stored_variables import with_names
from kerasguard.identity.reduced import around
from kerasguard.tensors import (
    Extent,
    LayerRecord,
    Role,
    Table,
    TensorRecord,
    TensorSpec,
    snake_case,
)

__all__ = ["OLD_CONTAINER", "canonical_keys", "natural", "weights_table"]

OLD_CONTAINER = "_layer_checkpoint_dependencies"
_OPTIMIZER = re.compile(
    r"(^|[/_])(opt|optim|optimi[sz]ers?|adam|adamw|sgd|rmsprop|nadam|lion|muon|adagrad|adadelta|"
    r"adafactor|adamax|ftrl|lamb|loss_scale_optimizer|schedule_free_adam_w)([/_]|$)"
)
_SEEDS = ("seed_generator", "_random_generator")


def canonical_keys(paths: Iterable[str]) -> dict[str, str]:
    """For each path (of all groups and datasets of a file) the path that Keras 3 would use.

    Law: paths of Keras 3 map to themselves.
    """
    split = {path: path.replace("\\", "/").split("/") for path in paths}
    if not any(OLD_CONTAINER in parts for parts in split.values()):
        return {path: "/".join(parts) for path, parts in split.items()}
    children: dict[tuple[str, ...], set[str]] = {}
    for parts in split.values():
        for depth, part in enumerate(parts[:-1]):
            if part == OLD_CONTAINER:
                children.setdefault(tuple(parts[: depth + 1]), set()).add(parts[depth + 1])
    renamed = {place: _renumbered(names) for place, names in children.items()}
    return {path: "/".join(_modern(parts, renamed)) for path, parts in split.items()}


def natural(key: str) -> list[tuple[list[str | int], ...] | list[str | int]]:
    """Sorts `vars/2` before `vars/10`; Python converts no number of thousands of digits."""
    return [
        [int(p[:99]) if p.isdecimal() and p.isascii() else p for p in re.split(r"([0-9]+)", part)]
        for part in key.split("/")
    ]


def weights_table(
    tensors: Mapping[str, tuple[TensorSpec, Extent | None]],
    groups: Mapping[str, str],
    architecture: Mapping[str, Any] | None,
    *,
    by_keras_2: bool = False,
) -> Table:
    """A table of what a weights file holds.

    Args:
        tensors: spec and place by canonical key.
        groups: by canonical path, the `name` attribute of the file's groups, empty where none.
        architecture: the model's stored config, which names layers that the file does not.
        by_keras_2: whether Keras 2.12 to 2.15 wrote the file.
    """
    layers = {} if architecture is None else _layers_of(architecture, _owners(tensors))
    for path, told in sorted(groups.items(), key=lambda item: natural(item[0])):
        key, _, last = path.rpartition("/")
        if last != "vars" or not key or _role(key) == "metric":
            continue
        if key == "optimizer":
            layers |= _optimizer(told, architecture)
        elif key not in layers:
            layers[key] = LayerRecord(key, told)
        elif told:
            layers[key] = replace(layers[key], name=told)
    rank = {key: index for index, key in enumerate(layers)}
    others = _other_optimizers({key: spec for key, (spec, _) in tensors.items()})
    records = [_record(key, *found, layers, others) for key, found in tensors.items()]
    records.sort(key=lambda r: (r.role == "optimizer", _rank(r.layer, rank), natural(r.key)))
    table = Table.of(records, layers=layers)
    if architecture is None:
        return table
    named = with_names(table.tensors, architecture)
    return replace(table, tensors=_trained(named, architecture, inherited=by_keras_2))


def _trained(
    tensors: Mapping[str, TensorRecord], architecture: Mapping[str, Any], *, inherited: bool
) -> dict[str, TensorRecord]:
    """The records, those of layers that the config calls frozen with that said.

    In Keras 3 the layer itself decides; one that the config does not spell out was switched with
    the layer around it. In Keras 2 a frozen model trains nothing that is in it.
    """
    configs = layer_configs(architecture)
    told = {key: config["trainable"] for key, _, config in configs if "trainable" in config}
    if False not in told.values():
        return dict(tensors)

    def is_frozen(key: str) -> bool:
        states = []
        while key := key.rpartition("/")[0]:
            if key in told:
                states.append(told[key])
        return False in (states if inherited else states[:1])

    return {
        key: replace(record, trainable=False)
        if record.role == "weight" and is_frozen(key)
        else record
        for key, record in tensors.items()
    }


def _owners(keys: Iterable[str]) -> set[str]:
    """Keys of the layers that hold tensors, and of all around them."""
    return {path for key in keys for path in around(key.rpartition("/vars/")[0])}


def _layers_of(architecture: Mapping[str, Any], own: Collection[str]) -> dict[str, LayerRecord]:
    try:
        return dict(layer_records(architecture, own))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        # Every Keras has written what is indexed there; here something else stands in its place.
        raise ArchitectureError(
            f"the stored config is malformed ({type(error).__name__}: {error}); Keras did not "
            "write this config, or it was damaged"
        ) from error


def _other_optimizers(specs: Mapping[str, TensorSpec]) -> frozenset[str]:
    """Paths of optimizers that a model has in attributes, lists and dicts of its own.

    Their first tensor counts their steps, and they lie under an attribute or a class name that says
    what they are (`g_optimizer`, `opt_d`, `optimizers/adam`). Where the model has an optimizer in
    the same place, that decides.
    """
    counters = (
        key.removesuffix("/vars/0")
        for key, spec in specs.items()
        if key.endswith("/vars/0") and not spec.shape and spec.dtype in ("int64", "int32")
    )
    return frozenset(path for path in counters if _OPTIMIZER.search(path.lower()))


def _record(
    key: str,
    spec: TensorSpec,
    extent: Extent | None,
    layers: Mapping[str, LayerRecord],
    optimizers: frozenset[str],
) -> TensorRecord:
    owner, _, last = key.rpartition("vars/")
    owner = owner.rstrip("/")
    known = layers.get(owner)
    role: Role = "optimizer" if owner in optimizers else _role(owner)
    name = f"{known.name if known and known.name else owner.rpartition('/')[2]}/{last}".lstrip("/")
    return TensorRecord(key, spec, name=name, layer=owner, role=role, extent=extent)


def _role(owner: str) -> Role:
    first, _, _ = owner.partition("/")
    if first == "optimizer":
        return "optimizer"
    if first == "metrics" or "_metrics" in owner.split("/"):
        return "metric"
    last = owner.rpartition("/")[2]
    return (
        "seed" if last.lstrip("_").startswith(("seed_generator", "random_generator")) else "weight"
    )


def _rank(owner: str, rank: Mapping[str, int]) -> int:
    """Of the layer itself or of the nearest one around it; unknown ones last."""
    while owner:
        if owner in rank:
            return rank[owner]
        owner = owner.rpartition("/")[0]
    return len(rank)


def _optimizer(told: str, architecture: Mapping[str, Any] | None) -> dict[str, LayerRecord]:
    """The optimizer as a record, if the file or the compile config tells its name."""
    compiled = (architecture or {}).get("compile_config")
    stored = compiled.get("optimizer") if isinstance(compiled, Mapping) else None
    found = stored.get("class_name") if isinstance(stored, Mapping) else stored
    class_name = found.rpartition(">")[2] if isinstance(found, str) else ""
    name = told or snake_case(class_name)
    return {"optimizer": LayerRecord("optimizer", name, class_name)} if name else {}


def _renumbered(names: Iterable[str]) -> dict[str, str]:
    """`dense`, `dense_2`, `dense_4` -> `dense`, `dense_1`, `dense_2`."""
    used: dict[str, int] = {}
    ordered = sorted(names, key=natural)
    return {name: unique_name(re.sub(r"_[0-9]+$", "", name), used) for name in ordered}


def _modern(parts: list[str], renamed: Mapping[tuple[str, ...], Mapping[str, str]]) -> list[str]:
    result = []
    for depth, part in enumerate(parts):
        names = renamed.get(tuple(parts[:depth]))
        result.append("layers" if part == OLD_CONTAINER else names[part] if names else part)
    return result
