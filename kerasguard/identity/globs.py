"""Patterns over paths: `*` stays inside a level, `**` does not, a layer covers all below it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from functools import lru_cache

from kerasguard.errors import nearest

__all__ = ["covers", "near"]


def covers(pattern: str, path: str) -> bool:
    """Whether the pattern is the path, or that of something around it.

    Law: `covers(path, f"{path}/{rest}")` for every path without a wildcard.

    Args:
        pattern: levels apart by slashes; `*`, `?` and `[...]` as in a shell, within one level;
            `**` alone in a level stands for any number of levels, none included.
        path: of a variable or a layer, `decoder/block_1/kernel`.
    """
    return _match(tuple(pattern.strip("/").split("/")), tuple(path.split("/")))


def _match(pattern: Sequence[str], levels: Sequence[str]) -> bool:
    """Whether the pattern matches the first levels, or all of them."""
    # The places in the pattern that the levels so far may have led to.
    places = _closure(pattern, {0})
    for level in levels:
        if len(pattern) in places:
            return True
        after = {
            place if pattern[place] == "**" else place + 1
            for place in places
            if pattern[place] == "**" or _level(pattern[place]).match(level)
        }
        places = _closure(pattern, after)
    return len(pattern) in places


def _closure(pattern: Sequence[str], places: set[int]) -> set[int]:
    """With those that `**` leads to by standing for nothing."""
    found = set(places)
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == "**":
            place += 1
            found.add(place)
    return found


@lru_cache(256)
def _level(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def near(pattern: str, paths: Iterable[str]) -> str:
    """The path that was probably meant: one that ends like the pattern, else the likest."""
    known = list(dict.fromkeys(paths))
    end = pattern.strip("*/")
    found = [path for path in known if end and f"/{path}".endswith(f"/{end}")]
    if found:
        return min(found, key=len)
    whole = nearest(end, known)
    if whole:
        return whole
    last = {path.rpartition("/")[2]: path for path in reversed(known)}
    return last.get(nearest(end.rpartition("/")[2], last), "")
