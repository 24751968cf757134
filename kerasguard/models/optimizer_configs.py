"""Settings of a model's optimizers, recorded when it is saved and given back when it is built.

Keras 3.15 takes the optimizer out of the live compile arguments when it writes a `.h5`, and a model
that overrides `compile` has no compile arguments at all; both come back with a default optimizer or
with none. What a manifest tells of them does not depend on it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasguard.blueprint.backend_classes import of_every_backend
from kerasguard.blueprint.objects import copied
from kerasguard.blueprint.references import doubts
from kerasguard.models.build import deserialize
from kerasguard.models.environment import supplied
from kerasguard.models.kerases import KERAS3, is_optimizer, of
from kerasguard.models.kerases.backends import to_numpy
from kerasguard.models.optimizers import outermost, set_compiled_optimizer
from kerasguard.models.slots import slots_of
from kerasguard.models.walk import Visit, walk
from kerasguard.models.weight_decay import undecayed

__all__ = ["Given", "compile_arguments_kept", "describe_optimizers", "give_back", "give_class"]

_MAIN = "optimizer"
_DRIFTING = ("name", "learning_rate")  # the rate is a tensor, restored by itself


@dataclass(frozen=True)
class Given:
    """What became of the recorded optimizers of a model that was built from its config.

    Args:
        unknown: paths of optimizers whose class is not at hand, or that have no place.
        unrecorded: of an optimizer whose class alone is known, the settings nobody recorded.
    """

    unknown: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()


@contextlib.contextmanager
def compile_arguments_kept(model: Any) -> Iterator[None]:
    """A save leaves the model's compile arguments as they were.

    Keras 3.15 takes the optimizer out of them when it writes a `.h5`; every later `.keras` file
    of the model would load with another.
    """
    arguments = of(model).compiled_with(model)
    before = dict(arguments) if arguments is not None else {}
    try:
        yield
    finally:
        if arguments is not None:
            arguments.clear()
            arguments.update(before)


def describe_optimizers(model: Any) -> dict[str, Any]:
    """What a manifest tells of a model's optimizers; empty where there is none.

    Class, slots, iterations and config of the one it was compiled with, the variables that are
    excluded from weight decay, and a list of the others with the attribute, list entry or dict key
    that holds them.
    """
    found: dict[str, Any] = {}
    optimizer = getattr(model, _MAIN, None)
    if optimizer is not None:
        found = {
            "class": type(optimizer).__name__,
            "slots": sorted({slot.name for slot in slots_of(optimizer).values()}),
            "iterations": int(to_numpy(optimizer.iterations)),
        }
        config = _config(optimizer)
        found |= {"config": config} if config is not None else {}
    visits = tuple(walk(model))
    others, kept = list(_others(model, visits)), undecayed(model, visits)
    found |= {"undecayed": kept} if kept else {}
    return found | ({"others": others} if others else {})


def _others(model: Any, visits: Sequence[Visit]) -> Iterator[dict[str, Any]]:
    paths = {id(visit.object): visit.path for visit in outermost(visits)}
    paths.pop(id(getattr(model, _MAIN, None)), None)
    for visit in visits if paths else ():
        if is_optimizer(visit.object):
            continue
        for attribute, entry, optimizer in _held(visit.object):
            path = paths.pop(id(optimizer), None)
            config = None if path is None else _config(optimizer)
            if config is not None:
                place = {"holder": visit.path, "attribute": attribute, "entry": entry}
                yield {"path": path, **place, "config": config}


def _held(holder: Any) -> Iterator[tuple[str, int | str | None, Any]]:
    """The optimizers that an object holds: attribute, entry of a list or dict, optimizer."""
    for attribute, value in vars(holder).items():
        if attribute.startswith("_self_"):  # where TensorFlow lists what it tracks once more
            continue
        if is_optimizer(value):
            yield attribute, None, value
        elif isinstance(value, Mapping):
            yield from ((attribute, str(k), o) for k, o in value.items() if is_optimizer(o))
        elif isinstance(value, (list, tuple)):
            yield from ((attribute, i, o) for i, o in enumerate(value) if is_optimizer(o))


def _config(optimizer: Any) -> dict[str, Any] | None:
    """As Keras serialises it; None where its own code cannot tell it."""
    try:
        config: dict[str, Any] = json.loads(json.dumps(of(optimizer).serialize(optimizer)))
    except Exception:  # noqa: BLE001  # get_config of somebody's own may raise anything
        return None
    return dict(of_every_backend(config))


def give_back(model: Any, recorded: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Given:
    """Give a model that was built from its config the optimizers that it had.

    Args:
        model: just built; what it has already and what is as recorded stays.
        recorded: of `describe_optimizers`.
        custom_objects: classes that the configs name.
    """
    wanted = [{"path": _MAIN, "holder": "", "attribute": _MAIN, "entry": None, **recorded}]
    wanted += recorded.get("others", ())
    unknown = []
    holders = {visit.path: visit.object for visit in walk(model)}
    for one in wanted:
        config = one.get("config")
        if not isinstance(config, Mapping):
            continue
        config = of_every_backend(copied(config))  # of a manifest that was written before
        holder = holders.get(str(one.get("holder")))
        now = None if holder is None else _at(holder, one["attribute"], one["entry"])
        if now is not None and _same(_config(now), config):
            continue
        made = _made(config, custom_objects) if holder is not None else None
        if made is None or not _put(holder, one["attribute"], one["entry"], made):
            unknown.append(str(one["path"]))
        elif one["path"] == _MAIN:
            set_compiled_optimizer(model, made)
    return Given(unknown=tuple(unknown))


def give_class(model: Any, name: str) -> Given:
    """Give a model an optimizer of a class whose settings nobody recorded.

    Args:
        model: just built, with an optimizer of another class.
        name: of a class of `keras.optimizers`, in any spelling.
    """
    classes = {
        found.__name__.lower(): found
        for found in vars(KERAS3.functions("optimizers")).values()
        if isinstance(found, type) and issubclass(found, KERAS3.OPTIMIZER)
    }
    now = getattr(model, _MAIN, None)
    cls = classes.get(name.replace("_", "").lower())
    if cls is None or now is None or _is_a(now, cls):
        return Given()
    try:
        made = cls()
    except TypeError:  # a wrapper, of nobody knows what
        return Given(unknown=(_MAIN,))
    model.optimizer = made
    set_compiled_optimizer(model, made)
    left = sorted(key for key in made.get_config() if key not in _DRIFTING)
    return Given(unrecorded=tuple(left))


def _is_a(optimizer: Any, cls: type) -> bool:
    """Whether it is of the class itself, or of what a backend has in its place."""
    return isinstance(optimizer, cls) and type(optimizer).__name__ == cls.__name__


def _made(config: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Any:
    # A manifest is a file like any other: nothing that it names is looked up unasked.
    known, registered = supplied(custom_objects)
    if any(doubts(config, known.__contains__, registered)):
        return None
    try:
        made = deserialize(config, custom_objects)
    except Exception:  # noqa: BLE001  # a class of somebody's own may raise anything
        return None
    return made if is_optimizer(made) else None


def _same(ours: Mapping[str, Any] | None, recorded: Mapping[str, Any]) -> bool:
    """Whether two configs are of the same class with the same settings, whatever its name."""
    return ours is not None and _settings(ours) == _settings(recorded)


def _settings(value: Any) -> Any:
    if isinstance(value, Mapping):
        plain = {
            k: _settings(v)
            for k, v in value.items()
            if k not in _DRIFTING or isinstance(v, (Mapping, list))
        }
        return {k: v for k, v in plain.items() if k != "build_config"}
    return [_settings(item) for item in value] if isinstance(value, list) else value


def _at(holder: Any, attribute: str, entry: int | str | None) -> Any:
    value = vars(holder).get(attribute)
    if entry is None:
        return value if is_optimizer(value) else None
    return _entry(value, entry)


def _entry(value: Any, entry: int | str) -> Any:
    if isinstance(value, Mapping):
        return value.get(entry)
    if isinstance(value, (list, tuple)) and isinstance(entry, int):
        return value[entry] if 0 <= entry < len(value) else None
    return None


def _put(holder: Any, attribute: str, entry: int | str | None, optimizer: Any) -> bool:
    """Put an optimizer where it was; whether that is possible.

    A manifest is a file like any other: no method and nothing of another kind makes room for it.
    """
    if callable(getattr(type(holder), attribute, None)):
        return False
    value = vars(holder).get(attribute)
    if value is None and entry is not None:
        setattr(holder, attribute, [] if isinstance(entry, int) else {})
        value = getattr(holder, attribute)
    held = value if entry is None else _entry(value, entry)
    if held is not None and not is_optimizer(held):
        return False
    if entry is None:
        setattr(holder, attribute, optimizer)
    elif isinstance(value, dict):
        value[entry] = optimizer
    elif isinstance(value, list) and isinstance(entry, int) and 0 <= entry <= len(value):
        value[entry : entry + 1] = [optimizer]
    else:
        return False
    return True
