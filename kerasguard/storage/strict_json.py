"""JSON as files of strangers are read: bounded, and with one meaning only."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from kerasguard.manifest.schema import crowd
from kerasguard.storage.budget import excess

__all__ = ["strict_json"]

MAX_DEPTH = 200
MAX_DIGITS = 20


def strict_json(data: bytes | str, *, constants: bool = False, max_bytes: int = 64 << 20) -> Any:
    """Parse JSON that has one reading for every parser.

    Args:
        data: UTF-8 without a byte order mark, or text.
        constants: accept `NaN`, `Infinity` and `-Infinity`. They are not JSON, but Keras writes
            them (`Masking(mask_value=nan)`).
        max_bytes: longer input is refused before it is parsed, if the caller raises no limits.

    Raises:
        ValueError: no JSON; little but brackets; a key given twice in one object; more than 200
            levels deep; an integer of more than 20 digits; a number that no float holds; half a
            surrogate pair.
    """
    if over := excess(len(data), max_bytes):
        raise ValueError(f"JSON of {len(data)} bytes{over}")
    count, most = crowd(data)
    if over := excess(count, most):
        raise ValueError(f"{count} lists and objects in {len(data)} bytes of JSON{over}")
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=float if constants else _refuse,
        )
    except RecursionError:
        raise ValueError(f"JSON is nested more than {MAX_DEPTH} levels deep") from None
    _check_depth(value)
    if "\\u" in text:
        # UnicodeEncodeError is a ValueError; half a pair could be stored nowhere.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for i, key in enumerate(keys) if keys.index(key) != i)
        raise ValueError(f"JSON object gives {twice!r:.80} twice")
    return result


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"JSON integer of {len(text)} digits; at most {MAX_DIGITS} are read")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"JSON number {text:.40} is too large for a float")
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _check_depth(value: Any) -> None:
    """Level by level, so that the check itself cannot run out of stack."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise ValueError(f"JSON is nested more than {MAX_DEPTH} levels deep")
