"""Arguments of public functions, checked before a file is opened.

What is not understood is an error that names the allowed values: an option that is accepted and
not obeyed switches a check off silently.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from kerasguard.errors import ArgumentError, nearest

__all__ = [
    "ALLOWABLE",
    "WORKERS_LIMIT",
    "allowed",
    "check_choice",
    "check_config",
    "check_count",
    "check_digest",
    "check_flag",
    "check_mapping",
    "check_model",
    "check_observers",
    "check_path",
    "check_patterns",
    "check_place",
    "check_probe",
    "check_renames",
    "check_source",
    "check_strategy",
    "check_text",
    "workers_limit",
]

WORKERS_LIMIT = "KERASGUARD_WORKERS_TIMEOUT"
"""The environment variable that says how many seconds a worker waits for another one."""
_USUAL_LIMIT = 300.0
ALLOWABLE = ("graph", "lambdas")
"""What a caller can allow that is not safe for every file."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|xxh3:[0-9a-f]{32}")
_SHORTEST = 64
"""Bytes; what is shorter is a path, not a checkpoint's content."""
_PLAIN = (str, bytes, os.PathLike, Mapping, list, tuple, set, bool, int, float)


def check_choice(name: str, value: object, allowed: tuple[Any, ...]) -> None:
    """Refuse a value that is none of `allowed`; `True` is not 1 here, nor a `str` its enum.

    Args:
        name: the argument's.
        value: what the caller gave.
        allowed: every value that means something.

    Raises:
        ArgumentError: it is none of them; the message names them and the nearest.
    """
    if any(type(value) is type(one) and value == one for one in allowed):
        return
    words = [one for one in allowed if isinstance(one, str)]
    near = nearest(value, words) if isinstance(value, str) else ""
    hint = f"did you mean {near!r}? " if near else ""
    listed = ", ".join(map(repr, allowed))
    raise ArgumentError(f"{_shown(name, value)} is not understood; {hint}allowed: {listed}")


def allowed(allow: object) -> frozenset[str]:
    """What the caller allows beyond what is safe for every file: one of `ALLOWABLE`, or several.

    Raises:
        ArgumentError: `allow` holds something else.
    """
    single = isinstance(allow, (str, Mapping)) or not isinstance(allow, Collection)
    found: list[Any] = [allow] if single else list(allow)  # type: ignore[call-overload]
    for one in found:
        check_choice("allow", one, ALLOWABLE)
    return frozenset(found)


def check_config(value: object, model: object) -> None:
    """Refuse what is neither an architecture nor its path, and one given beside a built model.

    Raises:
        ArgumentError: see above.
    """
    if value is None:
        return
    if not value or not isinstance(value, (str, os.PathLike, Mapping)):
        raise ArgumentError(
            f"{_shown('config', value)} is not an architecture; pass the path of a model.json, its "
            "text, or the object in it"
        )
    if model is not None:
        raise ArgumentError(
            "config= describes a model to build, and model= is one; pass one of them"
        )


def check_digest(value: object) -> None:
    """Refuse what is not a digest that a checkpoint can be demanded by.

    Raises:
        ArgumentError: neither None nor `sha256:` or `xxh3:` with all its digits.
    """
    if value is None or (isinstance(value, str) and _DIGEST.fullmatch(value)):
        return
    raise ArgumentError(
        f"digest={value!r:.100} is not a digest; pass 'sha256:' and 64 hexadecimal digits in lower "
        "case, of the file or of its manifest, or 'xxh3:' and 32, of the weights"
    )


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither `True` nor `False`."""
    check_choice(name, value, (True, False))


def check_path(name: str, value: object) -> None:
    """Refuse what names no file: anything but a string or a path, and what no file is called."""
    if text := _path_text(value):
        with contextlib.suppress(UnicodeEncodeError):
            if b"\0" not in os.fsencode(text):
                return
    raise ArgumentError(f"{_shown(name, value)} is not a path; pass a string or a pathlib.Path")


def _path_text(value: object) -> str:
    """What a string or a path says; empty where it is neither."""
    if not isinstance(value, (str, os.PathLike)):
        return ""
    try:
        text = os.fspath(value)
    except Exception:  # noqa: BLE001  # code of the caller's
        return ""
    return text if isinstance(text, str) else ""


def check_place(name: str, value: object) -> None:
    """Refuse what is not a path, nor the content of a checkpoint as bytes or in an open file."""
    if callable(getattr(value, "read", None)) and not isinstance(value, (str, os.PathLike)):
        if getattr(value, "closed", False):
            raise ArgumentError(f"{_shown(name, value)} is closed; pass an open file")
        return
    if isinstance(value, (bytes, bytearray, memoryview)) and len(value) >= _SHORTEST:
        return
    check_path(name, value)


def check_source(value: object) -> None:
    """Refuse what is neither a path nor arrays by the path of their variable.

    A model in its place means that the two were exchanged.
    """
    if hasattr(value, "weights") and hasattr(value, "layers"):
        raise ArgumentError(
            f"the first argument is a model ({type(value).__name__}); path and model are "
            "swapped: kerasguard.load(path, model)"
        )
    if not isinstance(value, Mapping):
        check_place("path", value)


def check_model(value: object) -> None:
    """Refuse what cannot be a model; None is none."""
    if value is None or (hasattr(value, "weights") and not isinstance(value, (*_PLAIN, type))):
        return
    raise ArgumentError(
        f"{_shown('model', value)} is not a Keras model; pass the model object itself, or leave it "
        "out to build the model from the checkpoint"
    )


def check_mapping(name: str, value: object, example: str, *, texts: bool = False) -> None:
    """Refuse what is not a mapping by names.

    Args:
        name: the argument's.
        value: what the caller gave; None is allowed.
        example: how it looks.
        texts: whether the values are texts too; else they are classes, functions or objects.
    """
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{_shown(name, value)} is not a mapping; pass {name}={example}")
    for key, item in value.items():
        plain = item is None or isinstance(item, _PLAIN)
        if not isinstance(key, str) or key == "" or (not isinstance(item, str) if texts else plain):
            pair = f"{{{key!r:.40}: {item!r:.40}}}"
            raise ArgumentError(f"{name}={pair} is not understood; pass {name}={example}")


def check_patterns(name: str, value: object, *, empty: bool) -> None:
    """Refuse what is not a list of patterns, and one of none where nothing would be left.

    Args:
        name: the argument's.
        value: what the caller gave; None is allowed.
        empty: whether a list of none means something.
    """
    listed = isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping))
    if value is not None and (not listed or not (empty or value)):
        raise ArgumentError(f'{_shown(name, value)} is not a list of paths; pass {name}=["head"]')
    for one in value or ():  # type: ignore[attr-defined]
        if not isinstance(one, str) or not one.strip("/"):
            raise ArgumentError(f'{_shown(name, value)} is not understood; pass {name}=["head"]')


def check_renames(value: object) -> None:
    """Refuse what is neither a mapping of names or compiled patterns to names, nor a function."""
    if callable(value) and not isinstance(value, type):
        return
    example = '{"old_name": "new_name"}'
    if isinstance(value, Mapping):
        for key, new in value.items():
            if _is_pattern(key) and isinstance(new, str):
                _check_template(key, new)
        value = {key.pattern if _is_pattern(key) else key: new for key, new in value.items()}
    check_mapping("renames", value, example, texts=True)


def _is_pattern(key: object) -> bool:
    """Whether it is a compiled pattern for text; one for bytes fits no name."""
    return isinstance(key, re.Pattern) and isinstance(key.pattern, str)


def _check_template(pattern: re.Pattern[str], new: str) -> None:
    """Refuse what a pattern's matches cannot be replaced by."""
    try:
        pattern.sub(new, "")
    except (re.error, IndexError) as error:
        raise ArgumentError(
            f"renames={{{pattern.pattern!r:.40}: {new!r:.40}}} is not understood: {error}"
        ) from None


def check_count(name: str, value: object, word: str | None) -> None:
    """Refuse what is neither `word` (or None) nor a whole number of 1 or more."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not counts and value != word:
        allowed = f"{word!r} or a whole number of 1 or more"
        raise ArgumentError(f"{_shown(name, value)} is not understood; allowed: {allowed}")


def check_text(name: str, value: object) -> None:
    """Refuse what is not text, and the empty one."""
    if not isinstance(value, str) or not value:
        raise ArgumentError(f"{_shown(name, value)} is not a name; pass a string")


def check_strategy(value: object) -> None:
    """Refuse what has no scope to create a model in; None is none."""
    if value is not None and not callable(getattr(value, "scope", None)):
        what = "neither a tf.distribute.Strategy nor a distribution of keras.distribution"
        raise ArgumentError(f"{_shown('strategy', value)} is {what}")


def check_probe(value: object, *, inputs: bool) -> None:
    """Refuse a text that is not a kind of probe, and inputs where they cannot be given.

    Args:
        value: True, False, `"layers"`, or the inputs themselves.
        inputs: whether inputs of one's own may be given.
    """
    if isinstance(value, (str, bytes, int, float)) or value is None or not inputs:
        check_choice("probe", value, (True, False, "layers"))


def check_observers(value: object) -> tuple[Callable[[Any], object], ...]:
    """The functions that are called after a save; refuses what cannot be called."""
    items = None if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) else [*value]
    if items is None or not all(callable(item) for item in items):
        raise ArgumentError(
            f"{_shown('observers', value)} is not a list of functions; pass observers=[function], "
            "each called with the event of a save"
        )
    return tuple(items)


def _shown(name: str, value: object) -> str:
    return f"{name}={value!r:.80}"


def workers_limit() -> float:
    """How many seconds a worker waits for another one.

    Raises:
        ArgumentError: what the environment says is not a number of seconds.
    """
    told = os.environ.get(WORKERS_LIMIT, "")
    with contextlib.suppress(ValueError):
        if not told or 0 < float(told) < float("inf"):
            return float(told or _USUAL_LIMIT)
    raise ArgumentError(
        f"{WORKERS_LIMIT}={told!r:.40} in the environment is not a number of seconds"
    )
