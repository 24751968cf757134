"""The optimizers of a live model: which there are, and their slots, so that state has a place.

Keras makes an optimizer's slots at the first step, for the variables that it is given then. Which
these are is the caller's secret where a model has several optimizers, or trains only a part of
itself: a manifest tells, else the shapes of the stored slots have to.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasguard.formats.optimizer_slots import path_in
from kerasguard.models.holders import held_at
from kerasguard.models.kerases import is_optimizer, is_variable, of
from kerasguard.models.walk import Visit, walk
from kerasguard.tensors import Table, TensorRecord

__all__ = ["build_optimizers", "outermost", "set_compiled_optimizer", "variables_by_key"]

_MAIN = "optimizer"
_SCALARS = 2  # iteration and, but for tf_keras, learning rate: it has them before it is built


@dataclass(frozen=True)
class Trained:
    """What a checkpoint tells of the variables that an optimizer keeps state for.

    Args:
        keys: of these variables, in order; empty where the checkpoint does not say them.
        shapes: of the stored slots.
    """

    keys: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


def outermost(visits: Sequence[Visit]) -> list[Visit]:
    """The optimizers that lie in no other optimizer."""
    found = [visit for visit in visits if is_optimizer(visit.object)]
    paths = [f"{visit.path}/" for visit in found]
    return [v for v in found if not any(v.path.startswith(path) for path in paths)]


def build_optimizers(model: Any, stored: Table, *, own: bool = False) -> None:
    """Give every optimizer of a model its slots, so that stored ones have a place to go.

    Args:
        model: of Keras.
        stored: the checkpoint's table.
        own: whether the model was built from the checkpoint, so that an optimizer with slots for
            different variables than it had may be made anew.
    """
    main: Any = getattr(model, _MAIN, None)
    told = _told(stored)
    if len(told) < 2 and _trains_all(stored, told.get(_MAIN)):
        today: Sequence[Any] = model.trainable_variables
        if (
            main is not None
            and not of(main).optimizer_is_built(main)
            and _had_slots(told.get(_MAIN))
        ):
            _build(model, main, today)
        misbuilt = own and main is not None and not _built_for(main, today)
        if main is None or (len(told) == (_MAIN in told) and not misbuilt):
            return
    visits = list(walk(model))
    variables = variables_by_key(model, visits)
    for visit in outermost(visits):
        replaceable = own and visit.object is main
        built = of(visit.object).optimizer_is_built(visit.object)
        if (built and not replaceable) or not _had_slots(told.get(visit.path)):
            continue
        chosen = _chosen(model, visit, told, variables, stored)
        if chosen is not None and not built:
            _build(model, visit.object, chosen)
        elif chosen is not None and not _built_for(visit.object, chosen):
            model.optimizer = type(main).from_config(main.get_config())
            set_compiled_optimizer(model, model.optimizer)
            _build(model, model.optimizer, chosen)


def set_compiled_optimizer(model: Any, optimizer: Any) -> None:
    """Let the compile arguments, where there are any, name the optimizer that the model has."""
    config = of(model).compiled_with(model)
    if config is not None:
        config["optimizer"] = optimizer


def _build(model: Any, optimizer: Any, variables: Sequence[Any]) -> None:
    strategy = getattr(model, "distribute_strategy", None)
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        optimizer.build(list(variables))


def _had_slots(told: Trained | None) -> bool:
    """Whether the checkpoint holds slots, or does not say; else it was saved before its build."""
    return told is None or bool(told.shapes)


def _built_for(optimizer: Any, variables: Sequence[Any]) -> bool:
    now = of(optimizer).trained_by(optimizer, variables)
    return {id(variable) for variable in now} == {id(variable) for variable in variables}


def _told(stored: Table) -> dict[str, Trained]:
    """What the checkpoint tells, by an optimizer's path."""
    groups: dict[str, list[TensorRecord]] = {}
    legacy: list[TensorRecord] = []
    for record in stored.tensors.values():
        if record.key == f"{record.layer}/vars/{record.key.rpartition('/')[2]}":
            groups.setdefault(record.layer, []).append(record)
        elif record.role == "optimizer":
            legacy.append(record)
    return _told_by_names(legacy) | {
        path: Trained(
            tuple(dict.fromkeys(r.slot_of for r in records if r.slot_of)),
            tuple(r.spec.shape for r in records[_scalars(records) :]),
        )
        for path, records in groups.items()
        if any(r.role == "optimizer" for r in records)
    }


def _told_by_names(legacy: Sequence[TensorRecord]) -> dict[str, Trained]:
    """What a legacy file tells of its one optimizer: that it has no slots, or whose they are."""
    slots = [record for record in legacy if record.spec.shape]
    if not legacy or not all(record.slot_of for record in slots):
        return {}
    keys = tuple(dict.fromkeys(record.slot_of for record in slots))
    return {_MAIN: Trained(keys, tuple(record.spec.shape for record in slots))}


def _scalars(records: Sequence[TensorRecord]) -> int:
    """How many of the first ones are not slots."""
    first = [r.spec.shape == () for r in records[:_SCALARS]]
    return first.index(False) if False in first else len(first)


def _trains_all(stored: Table, told: Trained | None) -> bool:
    """Whether the optimizer's variables are those that trained, as far as the manifest tells."""
    if told is None or not told.keys:
        return True
    return set(told.keys) == {k for k, r in stored.tensors.items() if r.trainable}


def variables_by_key(model: Any, visits: Sequence[Visit]) -> dict[str, Any]:
    """The model's variables by the keys that slots name them by."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for visit in visits:
        if is_optimizer(visit.object):
            continue
        for name, value in (visit.stored() or {}).items():
            if is_variable(value, visit.object) and id(value) not in seen:
                seen.add(id(value))
                found[visit.key(name)] = value
    left = {id(v): v for v in model.variables if id(v) not in seen}
    held = held_at(left.keys(), visits)
    return found | {key: left[identity] for identity, (key, _) in held.items()}


def _chosen(
    model: Any,
    visit: Visit,
    told: Mapping[str, Trained],
    variables: Mapping[str, Any],
    stored: Table,
) -> Sequence[Any] | None:
    """The variables to build an optimizer for; None where nothing tells them."""
    today: Sequence[Any] = model.trainable_variables
    known = told.get(visit.path)
    if known is None:
        return today if visit.path == _MAIN else None
    recorded = _recorded(model, known.keys, variables, stored)
    if not recorded:
        fitting = [some for some in _candidates(model) if _fits(some, known.shapes)]
        return fitting[0] if len(fitting) == 1 else today if visit.path == _MAIN else None
    if visit.path != _MAIN or len(told) > 1 or _trained_then(recorded, today, variables, stored):
        return recorded
    return today


def _recorded(
    model: Any, keys: Sequence[str], variables: Mapping[str, Any], stored: Table
) -> list[Any]:
    """The variables that were recorded; a legacy file names them by their paths, all or none.

    Names that Keras makes up may be others today: then the order of the file's weights tells.
    """
    found = [variables[key] for key in keys if key in variables]
    if found or not keys:
        return found
    by_path = _by_path(model, variables.values(), keys)
    if len(by_path) == len(keys):
        return by_path
    by_order = _by_order(model, stored)
    return [by_order[key] for key in keys] if all(key in by_order for key in keys) else []


def _trained_then(
    recorded: Sequence[Any], today: Sequence[Any], variables: Mapping[str, Any], stored: Table
) -> bool:
    """Whether what trains today is among what was recorded, or trained when it was."""
    ids = {id(v) for v in today}
    then = {id(variables[k]) for k, r in stored.tensors.items() if r.trainable and k in variables}
    known = {id(v) for v in variables.values()}
    return ids <= {id(v) for v in recorded} or ids & known == then


def _by_path(model: Any, variables: Iterable[Any], keys: Sequence[str]) -> list[Any]:
    """The variables that legacy keys name: `model_weights/<layer>/<path>`, each by one alone.

    A path may begin with the model's name, which is counted: the rest of it will do.
    """
    found: dict[str, list[Any]] = {}
    path_of = of(model).path
    for variable in variables:
        path = path_of(variable)
        for told in {path, path.partition("/")[2]}:
            found.setdefault(told, []).append(variable)
    paths = [path_in(key) for key in keys]
    named = [found.get(path) or found.get(path.partition("/")[2], []) for path in paths]
    return [some[0] for some in named if len(some) == 1]


def _by_order(model: Any, stored: Table) -> dict[str, Any]:
    """The variables by the keys of a legacy file, whose order is theirs; none where a shape is not.

    An optimizer that is built for the wrong ones takes no state: its slots say whose they are.
    """
    weights = [r for r in stored.tensors.values() if r.role == "weight"]
    ours = [v for la in getattr(model, "layers", ()) for v in _trained_first(la)]
    if [r.spec.shape for r in weights] != [tuple(v.shape) for v in ours]:
        return {}
    return {record.key: variable for record, variable in zip(weights, ours, strict=True)}


def _trained_first(layer: Any) -> list[Any]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _candidates(model: Any) -> Iterator[list[Any]]:
    """What an optimizer may have been built for: the model's variables, or a part's; each once."""
    seen: set[tuple[int, ...]] = set()
    layers = [model, *model._flatten_layers(include_self=False, recursive=True)]  # noqa: SLF001
    for layer in layers:
        found = list(layer.trainable_variables)
        identity = tuple(id(variable) for variable in found)
        if found and identity not in seen:
            seen.add(identity)
            yield found


def _fits(variables: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether the slots could be those of these variables: each shape as often, or twice, ..."""
    ours, theirs = Counter(tuple(v.shape) for v in variables), Counter(shapes)
    times = {theirs[shape] / number for shape, number in ours.items()}
    return ours.keys() == theirs.keys() and len(times) == 1 and times.pop() % 1 == 0
