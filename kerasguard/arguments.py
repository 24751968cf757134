"""Arguments of public functions, checked before a file is opened.

What is not understood is an error that names the allowed values: an option that is accepted and
not obeyed switches a check off without a word.
"""

from __future__ import annotations

import difflib
from typing import Any

from kerasguard.errors import ArgumentError

__all__ = ["check_choice"]


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
    near = difflib.get_close_matches(value, words, 1) if isinstance(value, str) else []
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(map(repr, allowed))
    raise ArgumentError(f"{name}={value!r:.80} is not understood; {hint}allowed: {listed}")
