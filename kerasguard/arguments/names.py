"""Names of layers and tensors: mappings of them, patterns, and what they were called before."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from kerasguard.arguments.wording import PLAIN, shown
from kerasguard.errors import ArgumentError

__all__ = ["check_mapping", "check_patterns", "check_renames"]


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
        raise ArgumentError(f"{shown(name, value)} is not a mapping; pass {name}={example}")
    for key, item in value.items():
        plain = item is None or isinstance(item, PLAIN)
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
        raise ArgumentError(f'{shown(name, value)} is not a list of paths; pass {name}=["head"]')
    for one in value or ():  # type: ignore[attr-defined]
        if not isinstance(one, str) or not one.strip("/"):
            raise ArgumentError(f'{shown(name, value)} is not understood; pass {name}=["head"]')


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
