"""What Keras alone, without kerasguard, makes of a model that is written to a `.keras` file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasguard.models.live_model import places
from kerasguard.models.walk import walk
from kerasguard.tensors.elements import Array, digest

__all__ = [
    "needs",
    "obstacles",
    "read_back",
    "read_weights_back",
    "supply",
    "weights_by_path",
]

_NO_CONFIG = (
    "the model's config cannot be written; each of its own classes needs a get_config() that "
    "returns the arguments of its constructor as JSON"
)
_FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "regularizers")
_OPEN_SIZE = 32
_ROWS = 2


def obstacles(architecture: Mapping[str, Any] | None) -> list[str]:
    """Why Keras alone could not load what it would write of this architecture.

    Args:
        architecture: the model's config, as `keras_model.architecture` gives it.
    """
    if architecture is None:
        return [_NO_CONFIG]
    found = []
    for owner, item in _objects(architecture, ""):
        if item["class_name"] == "__lambda__":
            found.append(
                f"{owner}: its function is a lambda, which Keras writes as bytecode and refuses "
                "to read; make it a named function (def ...)"
            )
        elif str(item.get("module") or "").partition(".")[0] == "kerasguard":
            found.append(f"{owner}: needs {item['class_name']} of kerasguard")
    return found


def needs(architecture: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of classes and functions outside Keras, as `custom_objects` must have them."""
    names = set()
    for _, item in _objects(architecture, ""):
        name, module = str(item["class_name"]), str(item.get("module") or "")
        if name == "function":
            if not _is_built_in(str(item.get("config"))):
                names.add(str(item.get("config")))
        elif not name.startswith("__") and module.partition(".")[0] not in ("keras", "builtins"):
            names.add(str(item.get("registered_name") or name))
    return tuple(sorted(names))


def _is_built_in(function: str) -> bool:
    """Whether Keras finds a function by its name alone; that is all that it writes of one."""
    return any(callable(getattr(getattr(keras, m, None), function, None)) for m in _FUNCTIONS)


def supply(wanted: tuple[str, ...], custom_objects: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller supplied, under the names that Keras has written for it."""
    known = dict(custom_objects)
    for item in custom_objects.values():
        name = getattr(item, "__name__", "")
        known.setdefault(keras.saving.get_registered_name(item), item)
        known.setdefault(name, item)
    return {name: known[name] for name in wanted if name in known}


def read_back(path: Path, model: Any, custom_objects: Mapping[str, Any]) -> tuple[str, str]:
    """Load a file with Keras alone and compare with the model that it was written from.

    Args:
        path: of the `.keras` file.
        model: what was written.
        custom_objects: for Keras.

    Returns:
        What differs, empty where nothing does; and what was compared, in words.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a warning could be about is compared below
            again = keras.saving.load_model(path, custom_objects=dict(custom_objects))
    except Exception as error:  # noqa: BLE001  # foreign code runs; whatever it says is the reason
        return f"Keras cannot load it: {_line(error)}", ""
    ours, theirs = _digests(model), _digests(again)
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            return f"{key} is a different tensor in the model that Keras loads", ""
    told = f"{len(ours)} tensors have the same bytes"
    difference, tried = _predictions(model, again)
    return difference, f"{told}, {tried}"


def read_weights_back(
    path: Path, model: Any, custom_objects: Mapping[str, Any], *, whole: bool
) -> tuple[str, str]:
    """As `read_back`, of files without a model's random states: weights and predictions only.

    Args:
        path: of the file.
        model: what was written.
        custom_objects: for Keras.
        whole: whether the file tells the architecture; else the model is made anew from its config,
            and where it has none, nothing is loaded here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as above
            if whole:
                custom = dict(custom_objects)
                again = keras.saving.load_model(path, custom_objects=custom, compile=False)
            else:
                again = _made_anew(model)
                if again is None:
                    return "", "no model can be rebuilt from its config to load it into"
                again.load_weights(path)
    except Exception as error:  # noqa: BLE001  # as above
        return f"Keras cannot load it: {_line(error)}", ""
    ours, theirs = (_weights(m) for m in (model, again))
    if [d for _, d in ours] != [d for _, d in theirs]:
        changed = [name for (name, d), other in zip(ours, theirs, strict=False) if d != other[1]]
        what = changed[0] if changed else f"one of {len(ours)} weights"
        return f"{what} is a different tensor in the model that Keras loads", ""
    difference, tried = _predictions(model, again)
    return difference, f"{len(ours)} weights have the same bytes, {tried}"


def weights_by_path(model: Any) -> dict[str, list[Array]]:
    """The arrays of a model's weights by the path of their variable, in the model's order."""
    found: dict[str, list[Array]] = {}
    for variable in model.weights:
        array = np.asarray(keras.ops.convert_to_numpy(variable.value))
        found.setdefault(variable.path, []).append(array)
    return found


def _weights(model: Any) -> list[tuple[str, str]]:
    arrays = weights_by_path(model)
    return [(path, digest(array)) for path, values in arrays.items() for array in values]


def _made_anew(model: Any) -> Any:
    """The same model with other values; None where its config does not make one."""
    try:
        with keras.saving.custom_object_scope({type(model).__name__: type(model)}):
            again = keras.saving.deserialize_keras_object(
                keras.saving.serialize_keras_object(model)
            )
    except Exception:  # noqa: BLE001  # the model's own code
        return None
    return again if again.built and len(again.weights) == len(model.weights) else None


def _objects(value: Any, owner: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every serialised object with the name of the layer that it is, or that it belongs to."""
    if isinstance(value, Mapping):
        if isinstance(value.get("class_name"), str):
            config = value.get("config")
            name = config.get("name") if isinstance(config, Mapping) else None
            owner = name if isinstance(name, str) else owner
            yield owner, value
        for item in value.values():
            yield from _objects(item, owner)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _objects(item, owner)


def _digests(model: Any) -> dict[str, str]:
    found = places(list(walk(model)))
    return {p.record.key: digest(np.asarray(keras.ops.convert_to_numpy(p.value))) for p in found}


def _predictions(model: Any, again: Any) -> tuple[str, str]:
    """Compare what both compute for a made-up input, where the model takes one."""
    if any(getattr(visit.object, "stateful", False) is True for visit in walk(model)):
        return "", "no input was tried, because the model keeps states"
    try:
        inputs = _made_up(model)
        before = _called(model, inputs)
        twice = _called(model, inputs)
    except Exception as error:  # noqa: BLE001  # made-up numbers need not be what a model takes
        return "", f"no input was tried ({_line(error)})"
    if not _equal(before, twice):
        return "", "no predictions were compared, because the model draws random numbers"
    try:
        after = _called(again, inputs)
    except Exception as error:  # noqa: BLE001  # the file's model fails where the other does not
        return f"the model that Keras loads cannot be called: {_line(error)}", ""
    if not _equal(before, after):
        return "the model that Keras loads predicts something else", ""
    return "", "and a made-up input gives the same predictions"


def _made_up(model: Any) -> Any:
    """Random numbers in the structure, the shapes and the dtypes of the model's inputs."""
    told = model.input if hasattr(model, "input_layers") else getattr(model, "inputs", None)
    if not told:
        raise ValueError("the shapes of its inputs are unknown")
    generator = np.random.default_rng(0)

    def array(wanted: Any) -> Array:
        batch, *rest = wanted.shape
        shape = (batch or _ROWS, *(size or _OPEN_SIZE for size in rest))
        if np.issubdtype(keras.backend.standardize_dtype(wanted.dtype), np.floating):
            return generator.normal(size=shape).astype(wanted.dtype)
        return generator.integers(0, 2, shape).astype(wanted.dtype)

    return keras.tree.map_structure(array, told)


def _called(model: Any, inputs: Any) -> list[Array]:
    several = not (isinstance(inputs, list) and len(inputs) == 1)
    outputs = keras.tree.flatten(model(inputs if several else inputs[0], training=False))
    return [np.asarray(keras.ops.convert_to_numpy(output)) for output in outputs]


def _equal(some: list[Array], others: list[Array]) -> bool:
    return len(some) == len(others) and all(map(_same_array, some, others))


def _same_array(one: Array, other: Array) -> bool:
    return one.shape == other.shape and digest(one) == digest(other)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
