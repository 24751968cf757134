"""Options: choices, switches, numbers, names and functions."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from kerasguard.arguments.wording import shown
from kerasguard.errors import ArgumentError, nearest

__all__ = [
    "ALLOWABLE",
    "WORKERS_LIMIT",
    "allowed",
    "check_choice",
    "check_count",
    "check_digest",
    "check_flag",
    "check_observers",
    "check_probe",
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
    raise ArgumentError(f"{shown(name, value)} is not understood; {hint}allowed: {listed}")


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


def check_count(name: str, value: object, word: str | None) -> None:
    """Refuse what is neither `word` (or None) nor a whole number of 1 or more."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not counts and value != word:
        allowed = f"{word!r} or a whole number of 1 or more"
        raise ArgumentError(f"{shown(name, value)} is not understood; allowed: {allowed}")


def check_text(name: str, value: object) -> None:
    """Refuse what is not text, and the empty one."""
    if not isinstance(value, str) or not value:
        raise ArgumentError(f"{shown(name, value)} is not a name; pass a string")


def check_strategy(value: object) -> None:
    """Refuse what has no scope to create a model in; None is none."""
    if value is not None and not callable(getattr(value, "scope", None)):
        what = "neither a tf.distribute.Strategy nor a distribution of keras.distribution"
        raise ArgumentError(f"{shown('strategy', value)} is {what}")


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
            f"{shown('observers', value)} is not a list of functions; pass observers=[function], "
            "each called with the event of a save"
        )
    return tuple(items)


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
